"""The steps of a build and how they depend on each other."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping

from wizardtpu_compile.steps.step import Step


class Plan:
    """Steps, each after those it needs; where there is a choice, an earlier one is run first.

    Attributes:
        steps: by name, in their order.
        digests: sha256 by name, which changes with the step's own digest and with that of any step before it.
        dependents: names of the steps that need a step.

    Raises:
        ValueError: two steps have one name, or a step needs or discards one that does not come before it.
    """

    def __init__(self, steps: Iterable[Step]) -> None:
        self.steps: dict[str, Step] = {}
        self.digests: dict[str, str] = {}
        self.dependents: dict[str, list[str]] = {}
        for step in steps:
            self._check(step)
            self.steps[step.name] = step
            self.digests[step.name] = _chained(step, self.digests)
            self.dependents[step.name] = []
            for needed in step.needs:
                self.dependents[needed].append(step.name)

    def _check(self, step: Step) -> None:
        if step.name in self.steps:
            raise ValueError(f"two steps are named {step.name}")
        for name in (*step.needs, *step.discards):
            if name not in self.steps:
                raise ValueError(f"{step.name} needs or discards {name}, which does not come before it")

    def discardable(self, done: Collection[str]) -> Iterator[str]:
        """Those of these steps whose files nobody needs any more when they all are done."""
        for step in self.steps.values():
            if step.name in done:
                for name in step.discards:
                    if all(concerned in done for concerned in (name, *self.dependents[name])):
                        yield name


def _chained(step: Step, digests: Mapping[str, str]) -> str:
    parts = [step.digest, *(f"{name} {digests[name]}" for name in step.needs)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
