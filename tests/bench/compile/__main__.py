"""The command line of the benchmark of compiling."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import msgspec
from wizardtpu_compile.errors import ToolchainError
from wizardtpu_compile.toolchain.toolchain import Toolchain

from tests.bench.compile.bench import CompileBench
from tests.bench.compile.command import CommandError
from tests.bench.compile.plan import FULL, QUICK
from tests.bench.compile.report import part
from tests.bench.page import PAGE, write_part
from tests.bench.progress import say


def main() -> int:
    options = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="wizardtpu-bench-compile-", dir=options.scratch) as scratch:
        try:
            plan = QUICK if options.quick else FULL
            bench = CompileBench(plan, Toolchain.find(), options.wide_route, Path(scratch))
            results = bench.run(_command(options))
        except (CommandError, ToolchainError) as error:
            say(f"tests.bench.compile: {error}")
            return 1
        except KeyboardInterrupt:
            return 130
    text = part(results)
    print(text, end="")
    if options.json is not None:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    if not options.quick:
        write_part(text)
        say(f"wrote {PAGE}")
    return 0


def _command(options: argparse.Namespace) -> str:
    """To be told to whoever wants to measure again."""
    if options.quick:
        return "python -m tests.bench.compile --quick"
    return "make bench-compile BENCH_OPTIONS=--wide-route" if options.wide_route else "make bench-compile"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.compile",
        description="Measures wizardtpu-compile with the vendor's compiler, and writes its part of "
        "docs/BENCHMARKS.md. Takes about a quarter of an hour, 10 GB of disk and 6 GB of memory; the machine "
        "should have nothing else to do.",
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="small models, in minutes; print the part, do not write it")
    add("--json", type=Path, metavar="FILE", help="also write every single value to FILE")
    add("--scratch", type=Path, metavar="DIR", help="where to work (default: the usual place of temporary files)")
    add(
        "--wide-route",
        action="store_true",
        help="also compile a layer in real widths the vendor's way: needs 16 GB of memory, and minutes",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
