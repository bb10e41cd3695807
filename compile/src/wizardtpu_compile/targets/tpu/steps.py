"""The steps that make a bundle's file: every shape of a network, then all of them into the file.

A network's files go as soon as they are in the bundle's: so disk is needed for the bundle and the networks under
way, not for everything twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from wizardtpu_compile.bmodel.assembly import Assembly
from wizardtpu_compile.steps.step import Step, StepDirectory, StepReport
from wizardtpu_compile.targets.tpu.check import CHECK_VERSION, Checker
from wizardtpu_compile.targets.tpu.frontend import MB, MODEL, Frontend, digest
from wizardtpu_compile.targets.tpu.plan import TpuNetwork

_BUNDLE_FILE = "bundle file"  # one step at a time may write to it


@dataclass(frozen=True)
class StepMaker:
    """Makes the steps of a build.

    Attributes:
        frontend: what compiles.
        checker: compares networks with the checkpoint on the simulator.
        assembly: the bundle's growing file.
    """

    frontend: Frontend
    checker: Checker
    assembly: Assembly

    def steps(self, planned: Sequence[TpuNetwork]) -> Iterator[Step]:
        """In an order that can be run; networks of one description are neighbours in `planned`."""
        for name, shapes in itertools.groupby(planned, key=lambda network: network.description.name):
            yield from self._steps_of(name, list(shapes))

    def _steps_of(self, name: str, shapes: list[TpuNetwork]) -> Iterator[Step]:
        compiled = list(self.frontend.steps(shapes))
        checks = [self._check(shape) for shape in shapes if self.checker.wants(shape)]
        yield from (*compiled, *checks, self._add(name, shapes, compiled, checks))

    def _check(self, shape: TpuNetwork) -> Step:
        def run(directory: StepDirectory) -> StepReport:
            model = directory.of(shape.entry.name) / MODEL
            return asdict(self.checker.check(shape, model, directory.cancelled))

        return Step(
            name=check_step(shape),
            digest=digest(CHECK_VERSION, repr(shape.sizes)),
            needs=(shape.entry.name,),
            memory=self.checker.memory(shape),
            work=self.checker.seconds(shape),
            run=run,
        )

    def _add(
        self, name: str, shapes: Sequence[TpuNetwork], compiled: Sequence[Step], checks: Sequence[Step]
    ) -> Step:
        nets = [shape.entry.name for shape in shapes]

        def run(directory: StepDirectory) -> StepReport:
            self.assembly.add(name, [directory.of(net) / MODEL for net in nets])
            return {}

        return Step(
            name=add_step(name),
            digest=digest(name),
            needs=(*nets, *(check.name for check in checks)),
            memory=50 * MB,
            work=0.5,
            run=run,
            exclusive=_BUNDLE_FILE,
            discards=tuple(step.name for step in compiled),
        )


def check_step(shape: TpuNetwork) -> str:
    """Name of the step that compares a network."""
    return f"{shape.entry.name}.check"


def add_step(description: str) -> str:
    """Name of the step that adds all shapes of a network to the bundle's file."""
    return f"{description}.add"
