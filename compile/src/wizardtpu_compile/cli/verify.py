"""`wizardtpu-compile verify`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import msgspec
from wizardtpud.model.bundle import Bundle

from wizardtpu_compile.cli.texts import EXIT_CODES, Help, numbers
from wizardtpu_compile.errors import OptionError, VerificationError
from wizardtpu_compile.interruption import ends_at_once

if TYPE_CHECKING:
    from wizardtpu_compile.verification.bundle import Greedy
    from wizardtpu_compile.verification.comparison import Comparison

_DEVICE_LIBRARY = Path("/opt/sophon/libsophon-current/lib")
_EXPLANATION = """Every network is run by the vendor's runtime - on a BM1684X if this machine has one, else on the
simulator - with what a float reference made of some tokens up to it, and compared with two references:
  compiler      with the same rounded weights: what compiler and chip change. Must be at least 0.999.
  quantization  that reference with the float one: what rounding the weights changes.
  together      with the float reference.
Then some prompts are continued by the daemon's own engine, on the simulator alone, and each token is compared with
the references' choice.

The simulator takes about a second for 5 million weights and a token: seconds for the demonstration model, a
minute and a half for one layer of a model with 15 billion. There, choose: --layers 0,20 --shapes 1x1 --tokens 0.
"""


def add_verify_command(commands: Any) -> None:
    """Adds the command to a parser's."""
    parser = commands.add_parser(
        "verify",
        help="compare a bundle for bm1684x with its checkpoint",
        description=_EXPLANATION,
        epilog=EXIT_CODES,
        formatter_class=Help,
    )
    add = parser.add_argument
    add("bundle", type=Path, metavar="BUNDLE", help="bundle directory")
    add("--against", type=Path, required=True, metavar="CHECKPOINT", help="checkpoint it was made from")
    add("--layers", type=numbers, metavar="I,I,...", help="look at these layers alone (default: all)")
    add(
        "--shapes", type=_shapes, metavar="BxT,...", help="sequences x new tokens, such as 1x1,1x64 (default: all)"
    )
    add("--prompt", action="append", metavar="TEXT", help="instruction to continue; may be repeated")
    add("--tokens", type=int, default=16, metavar="N", help="tokens to continue by; 0: none (default: 16)")
    add(
        "--library",
        type=Path,
        metavar="DIR",
        help="directory of libbmrt.so (default: the device's, else the simulator's)",
    )
    add(
        "--toolchain",
        type=Path,
        metavar="DIR",
        help="where the vendor's compiler, and so the simulator, is installed",
    )
    add("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=_verify)


def _shapes(text: str) -> tuple[tuple[int, int], ...]:
    try:
        pairs = [part.split("x") for part in text.split(",") if part.strip()]
        return tuple((int(batch), int(tokens)) for batch, tokens in pairs)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of shapes such as 1x1,1x64,8x1") from None


def _verify(arguments: argparse.Namespace) -> None:
    with ends_at_once():
        from wizardtpu_compile.checkpoint.checkpoint import Checkpoint  # noqa: PLC0415
        from wizardtpu_compile.simulation.simulator import Simulator  # noqa: PLC0415
        from wizardtpu_compile.verification.bundle import PROMPTS, BundleVerifier  # noqa: PLC0415

    if () in (arguments.layers, arguments.shapes):
        raise OptionError("--layers and --shapes need at least one each, or leave them out for all")
    if arguments.tokens < 0:
        raise OptionError(f"--tokens {arguments.tokens}: must be at least 0")
    simulator = Simulator(_library(arguments))
    verifier = BundleVerifier(Bundle.open(arguments.bundle), Checkpoint.open(arguments.against), simulator)
    if arguments.tokens:
        verifier.check_conversation()  # before minutes are spent on networks
    # Rows come one by one, for each may take minutes: in the way of JSON they would be.
    table = _Table(sys.stderr if arguments.json else sys.stdout)
    comparisons = [table.show(seen) for seen in verifier.compare(arguments.layers, arguments.shapes)]
    greedy = verifier.converse(arguments.prompt or PROMPTS, arguments.tokens) if arguments.tokens else None
    print(_as_json(comparisons, greedy) if arguments.json else _text(greedy), flush=True)
    if unsound := [comparison.network for comparison in comparisons if not comparison.sound]:
        raise VerificationError(f"not what the checkpoint says: {', '.join(unsound)}")


class _Table:
    """Rows for people, as they come."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._print("network", "compiler", "quantization", "together")

    def show(self, seen: Comparison) -> Comparison:
        numbers = (f"{number:.6f}" for number in (seen.compiler, seen.quantization, seen.together))
        self._print(seen.network, *numbers, "" if seen.sound else "wrong")
        return seen

    def _print(self, *cells: str) -> None:
        print(f"{cells[0]:24}", *(f"{cell:12}" for cell in cells[1:]), file=self._file, flush=True)


def _library(arguments: argparse.Namespace) -> Path:
    from wizardtpu_compile.toolchain.toolchain import Toolchain  # noqa: PLC0415

    if arguments.library is not None:
        return Path(arguments.library)
    if arguments.toolchain is None and _DEVICE_LIBRARY.is_dir():
        return _DEVICE_LIBRARY
    return Toolchain.find(arguments.toolchain).simulator


def _text(greedy: Greedy | None) -> str:
    if greedy is None:
        return "no prompts continued"
    lines = [f"{len(greedy.prompts)} prompts continued:"]
    for name, seen in (("float", greedy.float_reference), ("quantized", greedy.quantized_reference)):
        margin = f"; else its own choice is ahead by at most {seen.largest_margin:.4f}"
        agreed = f"  {seen.equal} of {seen.tokens} tokens are the {name} reference's"
        lines.append(agreed if seen.equal == seen.tokens else agreed + margin)
    return "\n".join(lines)


def _as_json(comparisons: list[Comparison], greedy: Greedy | None) -> str:
    result = {
        "networks": [{**asdict(comparison), "sound": comparison.sound} for comparison in comparisons],
        "greedy": greedy and asdict(greedy),
    }
    return msgspec.json.encode(result).decode()
