"""The command line of the benchmark of the decode loop on the chip."""

from __future__ import annotations

import argparse
import datetime
import sys
import tempfile
from pathlib import Path

from wizardtpu_compile.errors import ToolchainError
from wizardtpu_compile.toolchain.toolchain import Toolchain

from tests.bench.chip.report import part
from tests.bench.chip.step import measure_step
from tests.bench.machine import Machine
from tests.bench.page import PAGE, write_part
from tests.bench.plan import ModelSize
from tests.bench.progress import say

_FULL = ModelSize(hidden=128, heads=4, layers=40, inner=128, vocabulary=512, positions=512)
_QUICK = ModelSize(hidden=128, heads=4, layers=4, inner=128, vocabulary=512, positions=64)
_TOKENS = {True: 40, False: 400}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.chip",
        description="Counts what a decoded token asks of the vendor's runtime, times what it costs the host, and "
        "writes its part of docs/BENCHMARKS.md. Takes two minutes, and the vendor's toolchain.",
    )
    parser.add_argument("--quick", action="store_true", help="few layers; print the part, do not write it")
    quick = parser.parse_args().quick
    machine, today = Machine.this(), datetime.datetime.now(datetime.timezone.utc).date()
    with tempfile.TemporaryDirectory(prefix="wizardtpu-bench-chip-") as scratch:
        try:
            toolchain = Toolchain.find()
            measured = measure_step(_QUICK if quick else _FULL, _TOKENS[quick], toolchain, Path(scratch))
        except ToolchainError as error:
            say(f"tests.bench.chip: {error}")
            return 1
    text = part(measured, machine, today)
    print(text, end="")
    if not quick:
        write_part(text)
        say(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
