"""Networks compiled by way of ONNX and the vendor's importer and driver: slow, for comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from wizardtpu_compile.frontend.onnx_frontend import build_network
from wizardtpu_compile.network.description import Network
from wizardtpu_compile.options.tpu import NetLayout
from wizardtpu_compile.precision import WeightFormat
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
        return onnx_step(
            shape.entry.name,
            shape.entry.name,
            shape.description,
            shape.sizes,
            form=shape.form,
            layout="wizardtpu",
            fingerprint=self.fingerprint,
            toolchain=self.toolchain,
        )


def onnx_step(
    step: str,
    name: str,
    description: Network,
    sizes: Mapping[str, int],
    *,
    form: WeightFormat,
    layout: NetLayout,
    fingerprint: str,
    toolchain: Toolchain,
) -> Step:
    """The step called `step` that compiles the network `name` to `MODEL`."""

    def run(directory: StepDirectory) -> StepReport:
        made = build_network(
            toolchain,
            description,
            name,
            sizes,
            form=form,
            layout=layout,
            directory=directory.path,
            log=directory.log,
            cancelled=directory.cancelled,
        )
        return {CYCLES: made.cycles, PEAK_MEMORY: made.peak_memory}

    decisive = ("onnx", fingerprint, toolchain.version, layout, repr(description), repr(sizes), repr(form))
    return Step(
        name=step,
        digest=digest(*decisive),
        needs=(),
        memory=500 * MB + _BYTES_A_WEIGHT * description.parameters,
        work=5 + description.parameters / MB,
        run=run,
    )
