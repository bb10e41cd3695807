"""`wizardtpu-compile build`."""

from __future__ import annotations

import argparse
import functools
from typing import TYPE_CHECKING, Any

import msgspec

from wizardtpu_compile.cli.build_options import add_build_options, chosen_options
from wizardtpu_compile.cli.texts import EXIT_CODES, Help
from wizardtpu_compile.interruption import ends_at_once
from wizardtpu_compile.options import CpuOptions

if TYPE_CHECKING:
    from wizardtpu_compile.options import TpuOptions
    from wizardtpu_compile.targets.result import BuildResult
    from wizardtpu_compile.targets.tpu.bmodel_file import BmodelResult

_EXAMPLES = """examples:
  wizardtpu-compile build ./WizardCoder-1B-V1.0 --target cpu --quantize int4 --context 2048 -o ./wizardcoder-1b
  wizardtpu-compile build ./WizardCoder-15B-V1.0 --target bm1684x --context 2048 -o ./wizardcoder-15b
  wizardtpu-compile build ./WizardCoder-15B-V1.0 --target bm1684x --only-layer 3 --check all -o ./block_3.bmodel

A build for bm1684x needs the vendor's compiler once: wizardtpu-compile toolchain install. It works in BUNDLE.build
beside the bundle; whatever ends it, the same command goes on from there.
"""


def add_build_command(commands: Any) -> None:
    """Adds the command to a parser's."""
    parser = commands.add_parser(
        "build",
        help="make a bundle from a checkpoint",
        description="Makes a bundle from a checkpoint directory of Hugging Face (config.json, tokenizer.json, "
        "safetensors or\n.bin files), and compares its networks with the checkpoint.",
        epilog=_EXAMPLES + "\n" + EXIT_CODES,
        formatter_class=Help,
        argument_default=argparse.SUPPRESS,
    )
    add_build_options(parser)
    parser.set_defaults(run=_build)


def _build(arguments: argparse.Namespace) -> None:
    given = vars(arguments)
    options, verbose = chosen_options(given), given.get("verbose", False)
    if isinstance(options, CpuOptions):
        result = _build_for_cpu(arguments, options, verbose)
    elif options.makes_bundle:
        result = _build_for_tpu(arguments, options, verbose)
    else:
        made = _build_bmodel(arguments, options, verbose)
        print(_bmodel_as_json(made) if "json" in given else _bmodel_summary(made), flush=True)
        return
    print(_as_json(result) if "json" in given else _summary(result), flush=True)


# What builds takes half a second to import: neither --help nor a wrong option needs it.


def _build_for_cpu(arguments: argparse.Namespace, options: CpuOptions, verbose: bool) -> BuildResult:
    with ends_at_once():
        from wizardtpu_compile.progress import person_progress  # noqa: PLC0415
        from wizardtpu_compile.targets.cpu import build_cpu_bundle  # noqa: PLC0415

    progress = functools.partial(person_progress, verbose=verbose)
    return build_cpu_bundle(arguments.checkpoint, arguments.output, options, progress)


def _build_for_tpu(arguments: argparse.Namespace, options: TpuOptions, verbose: bool) -> BuildResult:
    with ends_at_once():
        from wizardtpu_compile.steps.progress import person_step_progress  # noqa: PLC0415
        from wizardtpu_compile.targets.tpu.build import build_tpu_bundle  # noqa: PLC0415

    toolchain, progress = vars(arguments).get("toolchain"), person_step_progress(verbose)
    return build_tpu_bundle(arguments.checkpoint, arguments.output, options, toolchain, progress)


def _build_bmodel(arguments: argparse.Namespace, options: TpuOptions, verbose: bool) -> BmodelResult:
    with ends_at_once():
        from wizardtpu_compile.steps.progress import person_step_progress  # noqa: PLC0415
        from wizardtpu_compile.targets.tpu.bmodel_file import build_bmodel  # noqa: PLC0415

    toolchain, progress = vars(arguments).get("toolchain"), person_step_progress(verbose)
    return build_bmodel(arguments.checkpoint, arguments.output, options, toolchain, progress)


def _summary(result: BuildResult) -> str:
    manifest = result.manifest
    return (
        f"{result.directory}: {manifest.name}, {manifest.precision}, context {manifest.context}, "
        f"{manifest.size / 1e6:.1f} MB in {result.seconds:.1f} s\n{_compared(result.similarity, manifest.target)}"
    )


def _compared(similarity: dict[str, float], target: str) -> str:
    if not similarity:
        return "not compared with the checkpoint: wizardtpu-compile verify does that for layers you choose"
    worst = min(similarity, key=similarity.__getitem__)
    how = (
        "verified against the checkpoint" if target == "cpu" else "run on the simulator, against the same weights"
    )
    return f"{how}: lowest cosine {similarity[worst]:.6f} ({worst})"


def _as_json(result: BuildResult) -> str:
    summary = {
        "bundle": str(result.directory),
        "name": result.manifest.name,
        "target": result.manifest.target,
        "quantization": result.manifest.quantization,
        "context": result.manifest.context,
        "bytes": result.manifest.size,
        "networks": len(result.manifest.networks),
        "similarity": result.similarity,
        "seconds": round(result.seconds, 3),
        "peak_memory": result.peak_memory,
    }
    return msgspec.json.encode(summary).decode()


def _bmodel_summary(made: BmodelResult) -> str:
    said = [f"{made.path}: {made.size / 1e6:.1f} MB in {made.seconds:.1f} s"]
    said += [f"{name}: cosine {cosine:.6f}" for name, cosine in made.similarity.items()]
    return "\n".join(said)


def _bmodel_as_json(made: BmodelResult) -> str:
    summary = {
        "bmodel": str(made.path),
        "bytes": made.size,
        "similarity": made.similarity,
        "seconds": round(made.seconds, 3),
    }
    return msgspec.json.encode(summary).decode()
