"""`wizardtpu-compile inspect`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import msgspec
from wizardtpud.model.bundle import Bundle

from wizardtpu_compile.cli.texts import EXIT_CODES, Help
from wizardtpu_compile.inspect import describe, report


def add_inspect_command(commands: Any) -> None:
    """Adds the command to a parser's."""
    parser = commands.add_parser(
        "inspect", help="check a bundle and show what it holds", epilog=EXIT_CODES, formatter_class=Help
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="bundle directory")
    parser.add_argument(
        "--json",
        action="store_true",
        help="print the bundle's digest, its manifest and what its bmodel holds as JSON",
    )
    parser.set_defaults(run=_inspect)


def _inspect(arguments: argparse.Namespace) -> None:
    bundle = Bundle.open(arguments.bundle)
    if arguments.json:
        print(msgspec.json.encode(report(bundle)).decode(), flush=True)
    else:
        print(*describe(bundle), sep="\n", flush=True)
