"""`wizardtpu-compile toolchain`."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wizardtpu_compile.cli.texts import EXIT_CODES, Help
from wizardtpu_compile.errors import OptionError
from wizardtpu_compile.interruption import ends_at_once
from wizardtpu_compile.stage_progress import StageProgress, person_progress
from wizardtpu_compile.toolchain import host
from wizardtpu_compile.toolchain.frontend import find_python
from wizardtpu_compile.toolchain.installer import InstallOptions, install
from wizardtpu_compile.toolchain.release import VERSION, WHEEL_NAME
from wizardtpu_compile.toolchain.toolchain import Toolchain, default_directory

_ABOUT = f"""Bundles for bm1684x are compiled by the vendor's compiler, TPU-MLIR {VERSION}, which comes as a Python
package. The compiler and the simulator in it are programs and libraries: unpacked into a directory of their own,
they need no Python.

The directory is DIR if --directory says so, else $WIZARDTPU_TOOLCHAIN, else
~/.cache/wizardtpu/toolchain-{VERSION}. It may be shared: `check` once as its owner, and nobody needs to write to
it again.
"""
_INSTALL = f"""Brings the vendor's package with pip, from the index pip is configured for, compares its sha256, and
unpacks the compiler and the simulator for the BM1684X: 312 MB to download, 284 MB of disk. What is there already
stays.

Without a network: fetch {WHEEL_NAME} elsewhere, and name it with --wheel.
"""
_INSTALL_EXAMPLE = """example, on a fresh Debian or Ubuntu:
  apt install cmake make g++
  wizardtpu-compile toolchain install
  wizardtpu-compile toolchain check
"""
_CHECK = """Looks for the programs the compiler calls (cmake, make, a C++ compiler), compiles a small network with
float16 and one with bfloat16, runs both on the simulator and compares with numpy: 10 seconds or less.
"""


def add_toolchain_command(commands: Any) -> None:
    """Adds the command to a parser's."""
    parser = commands.add_parser(
        "toolchain",
        help="install, check or show the vendor's compiler, which bundles for bm1684x need",
        description=_ABOUT,
        epilog=EXIT_CODES,
        formatter_class=Help,
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    _add_install(actions)
    _add_check(actions)
    _add_show(actions)


def _add_install(actions: Any) -> None:
    parser = _add_action(
        actions, "install", _install, help="bring it", description=_INSTALL, example=_INSTALL_EXAMPLE
    )
    add = parser.add_argument
    add("--wheel", type=Path, metavar="FILE", help=f"the vendor's package, {WHEEL_NAME}, if it is here already")
    add(
        "--frontend-onnx",
        action="store_true",
        help="also the vendor's front end for ONNX, with an environment of CPython 3.10: 1.1 GB more. "
        "Building bundles does not need it",
    )
    add("--python", type=Path, metavar="PATH", help="CPython 3.10 for it (default: that of PATH, pyenv or uv)")
    add("--force", action="store_true", help="install again, in place of all that is there")


def _add_check(actions: Any) -> None:
    _add_action(actions, "check", _check, help="prove that it works on this machine", description=_CHECK)


def _add_show(actions: Any) -> None:
    _add_action(actions, "show", _show, help="tell where it is, and what this machine lacks")


def _add_action(actions: Any, name: str, run: Any, *, example: str = "", **texts: str) -> Any:
    epilog = f"{example}\n{EXIT_CODES}" if example else EXIT_CODES
    parser = actions.add_parser(name, epilog=epilog, formatter_class=Help, **texts)
    parser.add_argument("--directory", type=Path, metavar="DIR", help="the toolchain's directory")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=run)
    return parser


def _install(arguments: argparse.Namespace) -> None:
    if arguments.python is not None and not arguments.frontend_onnx:
        raise OptionError("--python is for --frontend-onnx: nothing else needs a Python")
    python = find_python(arguments.python) if arguments.frontend_onnx else None
    options = InstallOptions(arguments.wheel, python, arguments.force)
    with _progress() as progress:
        toolchain = install(arguments.directory or default_directory(), options, progress)
    _tell(toolchain, arguments.json)


def _check(arguments: argparse.Namespace) -> None:
    with ends_at_once():
        from wizardtpu_compile.toolchain.check import check  # noqa: PLC0415

    toolchain = Toolchain.find(arguments.directory)
    with _progress() as progress:
        proof = check(toolchain, progress)
    if arguments.json:
        print(json.dumps({"directory": str(toolchain.directory), "similarity": proof.similarity}), flush=True)
    else:
        seen = ", ".join(f"{form} {cosine:.6f}" for form, cosine in proof.similarity.items())
        print(f"{toolchain.directory}: compiles and simulates correctly; cosine to numpy: {seen}", flush=True)


def _show(arguments: argparse.Namespace) -> None:
    _tell(Toolchain.find(arguments.directory), arguments.json)


def _tell(toolchain: Toolchain, as_json: bool) -> None:
    lacks = host.missing()
    size = _size(toolchain.directory)
    if as_json:
        result = {
            "directory": str(toolchain.directory),
            "version": toolchain.version,
            "wheel_sha256": toolchain.wheel_sha256,
            "frontend_python": None if toolchain.python is None else str(toolchain.python),
            "bytes": size,
            "missing": [{"what": lack.what, "cure": lack.cure} for lack in lacks],
        }
        print(json.dumps(result), flush=True)
        return
    frontend = "" if toolchain.python is None else ", with the front end for ONNX"
    print(f"{toolchain.directory}: TPU-MLIR {toolchain.version}{frontend}, {size / 1e6:.0f} MB")
    print(
        host.describe(lacks) if lacks else "this machine has what it needs; `toolchain check` proves it",
        flush=True,
    )


def _size(directory: Path) -> int:
    """Bytes of the files in `directory`, each counted once whatever its names."""
    found = {}
    for folder, _, names in os.walk(directory):
        for name in names:
            status = (Path(folder) / name).lstat()
            found[status.st_ino] = status.st_size
    return sum(found.values())


@contextmanager
def _progress() -> Iterator[StageProgress]:
    progress = person_progress()
    try:
        yield progress
    finally:
        progress.close()
