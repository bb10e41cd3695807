"""The networks that the original WizardCoder demonstration loads, in one bmodel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.frontend.onnx_frontend import combine
from wizardtpu_compile.network.wizardcoder_tpu import stages
from wizardtpu_compile.options import TpuOptions
from wizardtpu_compile.steps.step import Step, StepDirectory, StepReport
from wizardtpu_compile.targets.tpu.frontend import MB, MODEL, digest
from wizardtpu_compile.targets.tpu.onnx import onnx_step
from wizardtpu_compile.toolchain.toolchain import Toolchain

COMBINED = "combined"
"""Name of the last step, which leaves `MODEL`."""


def wizardcoder_steps(
    checkpoint: Checkpoint, options: TpuOptions, context: int, toolchain: Toolchain
) -> Iterator[Step]:
    """A step for each stage of each network, then one that combines them."""
    fingerprint = checkpoint.fingerprint()
    steps = [
        onnx_step(
            f"{stage.name}_t{stage.sizes['tokens']}",
            stage.name,
            stage.network,
            stage.sizes,
            form=options.weight_format(stage.network.role),
            layout="wizardcoder-tpu",
            fingerprint=fingerprint,
            toolchain=toolchain,
        )
        for stage in stages(checkpoint, context)
    ]
    yield from steps
    yield _combine(steps, toolchain)


def _combine(nets: list[Step], toolchain: Toolchain) -> Step:
    names = tuple(net.name for net in nets)

    def run(directory: StepDirectory) -> StepReport:
        parts: list[Path] = [directory.of(name) / MODEL for name in names]
        combine(toolchain, parts, directory.path / MODEL, log=directory.log, cancelled=directory.cancelled)
        return {}

    return Step(COMBINED, digest(COMBINED), names, 500 * MB, 5, run, discards=names)
