"""The command itself, and how its failures are told."""

from __future__ import annotations

import argparse
import os
import sys
from importlib.metadata import version

from wizardtpud.errors import BundleError

from wizardtpu_compile.cli.build import add_build_command
from wizardtpu_compile.cli.estimate import add_estimate_command
from wizardtpu_compile.cli.import_ import add_import_command
from wizardtpu_compile.cli.inspect import add_inspect_command
from wizardtpu_compile.cli.texts import EXIT_CODES, Help
from wizardtpu_compile.cli.toolchain import add_toolchain_command
from wizardtpu_compile.cli.verify import add_verify_command
from wizardtpu_compile.errors import CompileError, reason

_BROKEN_PIPE = 141  # as the shell has it for a process that SIGPIPE ended


def main() -> None:
    """Runs the command; every failure that has a cause outside this program is told on standard error."""
    arguments = _parser().parse_args()
    try:
        arguments.run(arguments)
    except KeyboardInterrupt:
        sys.exit(130)
    except CompileError as error:
        _fail(str(error), error.exit_code)
    except BundleError as error:
        _fail(str(error), 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's last flush complains
        sys.exit(_BROKEN_PIPE)
    except OSError as error:
        _fail(reason(error), 1)


def _fail(message: str, code: int) -> None:
    print(f"wizardtpu-compile: {message}", file=sys.stderr)
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wizardtpu-compile",
        description="Turns GPTBigCode checkpoints into bundles that wizardtpud serves.",
        epilog=EXIT_CODES,
        formatter_class=Help,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('wizardtpu-compile')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_build_command(commands)
    add_import_command(commands)
    add_verify_command(commands)
    add_inspect_command(commands)
    add_estimate_command(commands)
    add_toolchain_command(commands)
    return parser
