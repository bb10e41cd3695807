"""The command line of the benchmark."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import msgspec

from tests.bench.bench import Bench
from tests.bench.page import PAGE, write_part
from tests.bench.peer import PeerError
from tests.bench.plan import FULL, QUICK
from tests.bench.progress import say
from tests.bench.report import document

_REFERENCE = Path(__file__).parents[2] / ".venv-reference" / "bin" / "python"


def main() -> int:
    options = _parser().parse_args()
    reference = options.reference if options.reference.exists() else None
    if reference is None:
        say(f"The peers are not run: there is no {options.reference} (make .venv-reference/.ready makes it).")
    with tempfile.TemporaryDirectory(prefix="wizardtpu-bench-") as scratch:
        try:
            bench = Bench(QUICK if options.quick else FULL, reference, Path(scratch))
            results = bench.run("python -m tests.bench --quick" if options.quick else "make bench")
        except PeerError as error:
            say(f"tests.bench: {error}")
            return 1
        except KeyboardInterrupt:
            return 130
    text = document(results)
    print(text, end="")
    if options.json is not None:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    if not options.quick:
        write_part(text)
        say(f"wrote {PAGE}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measures engine, daemon and client, beside transformers and CTranslate2, and writes "
        "their part of docs/BENCHMARKS.md. Takes about ten minutes; the machine should have nothing else to do.",
    )
    parser.add_argument(
        "--quick", action="store_true", help="measure little, in a minute; print the document, do not write it"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every single value to FILE")
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="PYTHON",
        default=_REFERENCE,
        help="interpreter that has transformers and ctranslate2 (default: .venv-reference/bin/python)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
