"""Which step is to be started next."""

from __future__ import annotations

import math
from collections.abc import Collection

from wizardtpu_compile.steps.plan import Plan
from wizardtpu_compile.steps.step import Step


class Schedule:
    """Hands out the steps of a plan that have to be run, as soon as they can be.

    Of the steps that are ready the plan's earliest goes first, unless

    - `jobs` steps are running,
    - its memory and that of those running would exceed `memory_limit`, or
    - its files and those that are on the disk already would exceed `disk_limit`. Then later ones that need disk
      wait, too, or it would never have its turn.

    While nothing runs, memory and disk do not count, so that a build always comes to its end.
    """

    def __init__(
        self,
        plan: Plan,
        missing: Collection[str],
        jobs: int,
        memory_limit: int,
        disk_limit: int | None = None,
    ) -> None:
        self._plan = plan
        self._jobs = jobs
        self._memory_limit = memory_limit
        self._disk_limit = disk_limit
        self._waiting = [step for step in plan.steps.values() if step.name in missing]
        self.running: dict[str, Step] = {}
        self.done = {name for name in plan.steps if name not in missing}

    @property
    def complete(self) -> bool:
        """Whether every step is done."""
        return not self._waiting and not self.running

    def start(self) -> Step | None:
        """The next step, which counts as running from now on; None if one must end first."""
        if len(self.running) >= self._jobs:
            return None
        step = self._choose()
        if step is not None:
            self._waiting.remove(step)
            self.running[step.name] = step
        return step

    def finish(self, name: str, done: bool = True) -> None:
        """A step has ended."""
        del self.running[name]
        if done:
            self.done.add(name)

    def _choose(self) -> Step | None:
        ready = (step for step in self._waiting if self.done.issuperset(step.needs))
        if not self.running:
            return next(ready, None)
        memory = self._memory_limit - sum(step.memory for step in self.running.values())
        disk = self._disk_left()
        for step in ready:
            if step.disk > disk:
                disk = 0
            elif step.memory <= memory:
                return step
        return None

    def _disk_left(self) -> float:
        if self._disk_limit is None:
            return math.inf
        there = (self.done | self.running.keys()) - set(self._plan.discardable(self.done))
        return max(0, self._disk_limit - sum(self._plan.steps[name].disk for name in there))
