"""Networks compiled from MLIR of our own: one file of weights for all shapes of a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wizardtpu_compile.emit.tpu import emit, write_weights
from wizardtpu_compile.steps.step import PEAK_MEMORY, Step, StepDirectory, StepReport
from wizardtpu_compile.targets.tpu.frontend import (
    CYCLES,
    MB,
    MODEL,
    Frontend,
    compiling_memory,
    compiling_seconds,
    digest,
)
from wizardtpu_compile.targets.tpu.plan import TpuNetwork
from wizardtpu_compile.toolchain.compiler import compile_network
from wizardtpu_compile.toolchain.toolchain import Toolchain

_WEIGHTS_VERSION = "1"  # changes when the same weights are to be written differently
_WEIGHTS = "weights.npz"
_TEXT = "net.mlir"
_WEIGHTS_MEMORY = 500 * MB  # this process: 240 MB were measured with a layer of a model of 15 billion weights


@dataclass(frozen=True)
class DirectFrontend(Frontend):
    """Writes weights and MLIR itself.

    Attributes:
        fingerprint: of the checkpoint.
        toolchain: what compiles.
        devices: chips that share the work of a network.
    """

    fingerprint: str
    toolchain: Toolchain
    devices: int

    def steps(self, shapes: Sequence[TpuNetwork]) -> Iterator[Step]:
        yield (weights := self._weights(shapes[0]))
        yield from (self._net(shape, weights) for shape in shapes)

    def _weights(self, shape: TpuNetwork) -> Step:
        description, form = shape.description, shape.form

        def run(directory: StepDirectory) -> StepReport:
            write_weights(description, form, directory.path / _WEIGHTS)
            return {}

        layers = f"{description.layer}+{description.layers}"
        return Step(
            name=f"{description.name}.weights",
            digest=digest(_WEIGHTS_VERSION, self.fingerprint, description.role, layers, repr(form)),
            needs=(),
            memory=_WEIGHTS_MEMORY,
            work=0.2 + description.parameters / (50 * MB),
            run=run,
            disk=shape.stored_bytes,
        )

    def _net(self, shape: TpuNetwork, weights: Step) -> Step:
        """The weights are named by a relative path, so that the text is the same wherever the build is."""
        file = f"../{weights.name}/{_WEIGHTS}"
        text = emit(shape.description, shape.entry.name, shape.sizes, shape.form, file, self.devices)

        def run(directory: StepDirectory) -> StepReport:
            mlir, bmodel = directory.path / _TEXT, directory.path / MODEL
            mlir.write_text(text)
            made = compile_network(self.toolchain, mlir, bmodel, directory.log, directory.cancelled)
            return {CYCLES: made.cycles, PEAK_MEMORY: made.peak_memory}

        return Step(
            name=shape.entry.name,
            digest=digest(text, self.toolchain.version),
            needs=(weights.name,),
            memory=compiling_memory(shape.stored_bytes),
            work=compiling_seconds(shape.stored_bytes),
            run=run,
            disk=2 * shape.stored_bytes,  # the compiler's own copy of the weights, and the bmodel
        )
