"""The steps that make a bundle's file: every shape of a network is compiled, compared and added to the file.

Its own files go as soon as it is in the bundle's: so disk is needed for the bundle and the few networks under way,
not for everything twice.
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
        """In an order that can be run; networks of one description are neighbours in `planned`.

        Additions wait for each other: one at a time may change the file, which is the same however long compiling
        takes.
        """
        added: tuple[str, ...] = ()
        for _, shapes in itertools.groupby(planned, key=lambda network: network.description.name):
            for step in self._steps_of(list(shapes), added):
                yield step
            added = (step.name,)  # the last one is an addition

    def _steps_of(self, shapes: list[TpuNetwork], added: tuple[str, ...]) -> Iterator[Step]:
        """All steps of a network: what its shapes share, then shape by shape. Its additions come after `added`."""
        compiled = {step.name: step for step in self.frontend.steps(shapes)}
        own = [shape.entry.name for shape in shapes]
        shared = [step for name, step in compiled.items() if name not in own]
        yield from shared
        for shape in shapes:
            net = compiled[shape.entry.name]
            checks = [self._check(shape)] if self.checker.wants(shape) else []
            discarded = [net, *shared] if shape is shapes[-1] else [net]
            add = self._add(shape, discarded, (*(check.name for check in checks), *added))
            yield from (net, *checks, add)
            added = (add.name,)

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

    def _add(self, shape: TpuNetwork, discarded: Sequence[Step], after: tuple[str, ...]) -> Step:
        name = shape.entry.name

        def run(directory: StepDirectory) -> StepReport:
            self.assembly.add(name, [directory.of(name) / MODEL])
            return {}

        return Step(
            name=add_step(shape),
            digest=digest(name),
            needs=(name, *after),
            memory=50 * MB,
            work=0.5,
            run=run,
            discards=tuple(step.name for step in discarded),
        )


def add_step(shape: TpuNetwork) -> str:
    """Name of the step that adds a network to the bundle's file."""
    return f"{shape.entry.name}.add"


def check_step(shape: TpuNetwork) -> str:
    """Name of the step that compares a network."""
    return f"{shape.entry.name}.check"
