"""The networks that the original WizardCoder demonstration loads, in one bmodel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.frontend.onnx_frontend import BMODEL_NAME, build_network, combine
from wizardtpu_compile.network.wizardcoder_tpu import Stage, stages
from wizardtpu_compile.options import TpuOptions
from wizardtpu_compile.precision import WeightFormat
from wizardtpu_compile.steps.step import PEAK_MEMORY, Step, StepDirectory, StepReport
from wizardtpu_compile.targets.tpu.frontend import CYCLES, MB, digest
from wizardtpu_compile.toolchain.toolchain import Toolchain

COMBINED = "combined"
"""Name of the last step, which leaves `BMODEL_NAME`."""

_BYTES_A_WEIGHT = 40  # the importer's peak


def wizardcoder_steps(
    checkpoint: Checkpoint, options: TpuOptions, context: int, toolchain: Toolchain
) -> Iterator[Step]:
    """A step for each stage of each network, then one that combines them."""
    fingerprint = checkpoint.fingerprint()
    steps = [
        _net(stage, options.weight_format(stage.network.role), toolchain, fingerprint)
        for stage in stages(checkpoint, context)
    ]
    yield from steps
    yield _combine(steps, toolchain)


def _net(stage: Stage, form: WeightFormat, toolchain: Toolchain, fingerprint: str) -> Step:
    def run(directory: StepDirectory) -> StepReport:
        made = build_network(
            toolchain,
            stage.network,
            stage.name,
            stage.sizes,
            form=form,
            layout="wizardcoder-tpu",
            directory=directory.path,
            log=directory.log,
            cancelled=directory.cancelled,
        )
        return {CYCLES: made.cycles, PEAK_MEMORY: made.peak_memory}

    weights = stage.network.parameters
    return Step(
        name=f"{stage.name}_t{stage.sizes['tokens']}",
        digest=digest(fingerprint, toolchain.version, repr(stage.sizes), repr(form)),
        needs=(),
        memory=500 * MB + _BYTES_A_WEIGHT * weights,
        work=5 + weights / MB,
        run=run,
    )


def _combine(nets: list[Step], toolchain: Toolchain) -> Step:
    names = tuple(net.name for net in nets)

    def run(directory: StepDirectory) -> StepReport:
        parts: list[Path] = [directory.of(name) / BMODEL_NAME for name in names]
        combine(toolchain, parts, directory.path / BMODEL_NAME, log=directory.log, cancelled=directory.cancelled)
        return {}

    return Step(COMBINED, digest(COMBINED), names, 500 * MB, 5, run, discards=names)
