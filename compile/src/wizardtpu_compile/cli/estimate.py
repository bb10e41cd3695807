"""`wizardtpu-compile estimate`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from wizardtpu_compile.checkpoint.config import ModelConfig, read_config
from wizardtpu_compile.cli.texts import EXIT_CODES, Help, numbers
from wizardtpu_compile.errors import OptionError
from wizardtpu_compile.estimate.architectures import PUBLISHED
from wizardtpu_compile.estimate.options import CONTEXTS, EstimateOptions
from wizardtpu_compile.interruption import ends_at_once

_DEFAULT_MODEL = "wizardcoder-15b"
_PRECISIONS = ("int4", "int8", "f16", "bf16")
_EXAMPLES = """examples:
  wizardtpu-compile estimate
  wizardtpu-compile estimate --config wizardcoder-3b --quantize int4 --context 2048 --slots 4,8
  wizardtpu-compile estimate ./my-checkpoint --json

Of CHECKPOINT only config.json is read. The vendor's compiler is needed: wizardtpu-compile toolchain install.
"""


def add_estimate_command(commands: Any) -> None:
    """Adds the command to a parser's."""
    parser = commands.add_parser(
        "estimate",
        help="tell how fast a model will be on the chip, and whether it fits",
        description="Compiles one layer, the embedding and the heads of a model at real size with blank weights,\n"
        "and tells from the compiler's cycle estimates how fast the model will be on a BM1684X and what memory\n"
        "it takes. This is an estimate, not a measurement: it leaves out the host's time.",
        epilog=_EXAMPLES + "\n" + EXIT_CODES,
        formatter_class=Help,
    )
    _add_model(parser)
    _add_shapes(parser)
    add = parser.add_argument
    add(
        "--jobs",
        type=int,
        metavar="N",
        help="networks compiled at once (default: one for each CPU, as memory allows)",
    )
    add("--toolchain", type=Path, metavar="DIR", help="where the vendor's compiler is installed")
    add("--json", action="store_true", help="print everything as JSON")
    parser.set_defaults(run=_estimate)


def _add_model(parser: argparse.ArgumentParser) -> None:
    model = parser.add_mutually_exclusive_group()
    model.add_argument("checkpoint", type=Path, nargs="?", metavar="CHECKPOINT", help="checkpoint directory")
    model.add_argument(
        "--config",
        choices=PUBLISHED,
        metavar="NAME",
        help=f"a published checkpoint: {', '.join(PUBLISHED)} (default: {_DEFAULT_MODEL})",
    )


def _add_shapes(parser: argparse.ArgumentParser) -> None:
    usual, add = EstimateOptions(), parser.add_argument

    def add_numbers(option: str, usual: tuple[int, ...], text: str, note: str = "") -> None:
        words = f"{text} (default: {','.join(map(str, usual))}{note})"
        add(option, type=numbers, default=usual, metavar="N,N,...", help=words)

    add(
        "--context",
        type=numbers,
        metavar="N,N,...",
        help="tokens of prompt and answer together "
        f"(default: {','.join(map(str, CONTEXTS))}, as far as the model has positions)",
    )
    add(
        "--quantize",
        type=_precisions,
        default=usual.precisions,
        metavar="P,P,...",
        help=f"precisions of the layers: {', '.join(_PRECISIONS)} (default: {','.join(usual.precisions)})",
    )
    add_numbers("--prefill-chunks", usual.prefill_chunks, "tokens of a prompt that one step may take")
    add_numbers("--verify", usual.verify, "tokens that one step checks: the last one and drafted ones")
    add_numbers("--slots", usual.slots, "sequences decoded together")
    for option, default, text in (
        ("--group-size", usual.group_size, "quantized weights that share a scale"),
        ("--num-device", usual.num_device, "chips that share the work of each network"),
    ):
        add(option, type=int, default=default, metavar="N", help=f"{text} (default: {default})")


def _precisions(text: str) -> tuple[str, ...]:
    chosen = tuple(part.strip() for part in text.split(",") if part.strip())
    if not chosen or not set(chosen) <= set(_PRECISIONS):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of {', '.join(_PRECISIONS)}")
    return chosen


def _estimate(arguments: argparse.Namespace) -> None:
    with ends_at_once():
        import msgspec  # noqa: PLC0415

        from wizardtpu_compile.estimate.estimate import estimate  # noqa: PLC0415
        from wizardtpu_compile.estimate.text import lines  # noqa: PLC0415
        from wizardtpu_compile.steps.progress import person_step_progress  # noqa: PLC0415

    name, config = _model(arguments)
    if arguments.jobs is not None and arguments.jobs < 1:
        raise OptionError(f"--jobs {arguments.jobs}: must be at least 1")
    report = estimate(
        name,
        config,
        _options(arguments),
        toolchain=arguments.toolchain,
        jobs=arguments.jobs,
        progress=person_step_progress(verbose=False),
    )
    print(msgspec.json.encode(report).decode() if arguments.json else "\n".join(lines(report)), flush=True)


def _model(arguments: argparse.Namespace) -> tuple[str, ModelConfig]:
    if arguments.checkpoint is not None:
        return arguments.checkpoint.resolve().name, read_config(arguments.checkpoint)
    name = arguments.config or _DEFAULT_MODEL
    return name, PUBLISHED[name]


def _options(arguments: argparse.Namespace) -> EstimateOptions:
    return EstimateOptions(
        contexts=arguments.context,
        precisions=arguments.quantize,
        prefill_chunks=arguments.prefill_chunks,
        verify=arguments.verify,
        slots=arguments.slots,
        group_size=arguments.group_size,
        num_device=arguments.num_device,
    )
