"""Networks compiled by way of ONNX and the vendor's importer and driver: slow, for comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wizardtpu_compile.frontend.onnx_frontend import build_network
from wizardtpu_compile.steps.step import PEAK_MEMORY, Step, StepDirectory, StepReport
from wizardtpu_compile.targets.tpu.frontend import CYCLES, MB, Frontend, digest
from wizardtpu_compile.targets.tpu.plan import TpuNetwork
from wizardtpu_compile.toolchain.toolchain import Toolchain

_BYTES_A_WEIGHT = 40  # the importer's peak: 15 GB were measured for 380 million weights


@dataclass(frozen=True)
class OnnxFrontend(Frontend):
    """Writes ONNX and runs the vendor's tools.

    Attributes:
        fingerprint: of the checkpoint.
        toolchain: one with the front end for ONNX.
    """

    fingerprint: str
    toolchain: Toolchain

    def steps(self, shapes: Sequence[TpuNetwork]) -> Iterator[Step]:
        return map(self._net, shapes)

    def _net(self, shape: TpuNetwork) -> Step:
        description, form, name, sizes = shape.description, shape.form, shape.entry.name, shape.sizes

        def run(directory: StepDirectory) -> StepReport:
            made = build_network(
                self.toolchain,
                description,
                name,
                sizes,
                form=form,
                layout="wizardtpu",
                directory=directory.path,
                log=directory.log,
                cancelled=directory.cancelled,
            )
            return {CYCLES: made.cycles, PEAK_MEMORY: made.peak_memory}

        return Step(
            name=name,
            digest=digest(
                "onnx",
                self.fingerprint,
                self.toolchain.version,
                repr(description),
                repr(sizes),
                repr(form),
            ),
            needs=(),
            memory=500 * MB + _BYTES_A_WEIGHT * description.parameters,
            work=5 + description.parameters / MB,
            run=run,
        )
