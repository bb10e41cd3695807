"""Which step is to be started next."""

from __future__ import annotations

from collections.abc import Collection

from wizardtpu_compile.steps.plan import Plan
from wizardtpu_compile.steps.step import Step


class Schedule:
    """Hands out the steps of a plan that have to be run, as soon as they can be.

    Of the steps that are ready the plan's earliest goes first, unless

    - `jobs` steps are running,
    - its memory and that of those running would exceed `memory_limit`,
    - what it must have for itself is in use, or
    - it would begin a group - the steps whose files one step discards - while `groups` are begun, or `jobs` if
      not told: the files of that many are on the disk at once, however long the step takes that discards them.

    While nothing runs, memory and groups do not count, so that a build always comes to its end.
    """

    def __init__(
        self, plan: Plan, missing: Collection[str], jobs: int, memory_limit: int, groups: int | None = None
    ) -> None:
        self._plan = plan
        self._jobs = jobs
        self._most_groups = groups or jobs
        self._memory_limit = memory_limit
        self._waiting = [step for step in plan.steps.values() if step.name in missing]
        self.running: dict[str, Step] = {}
        self.done = {name for name in plan.steps if name not in missing}
        self._groups: dict[str, list[str]] = {name: [] for name in plan.steps}  # of each step, by who discards it
        for step in plan.steps.values():
            for name in step.discards:
                self._groups[name].append(step.name)

    @property
    def complete(self) -> bool:
        """Whether every step is done."""
        return not self._waiting and not self.running

    def start(self) -> Step | None:
        """The next step, which counts as running from now on; None if one must end first."""
        for step in self._waiting:
            if self._can_start(step):
                self._waiting.remove(step)
                self.running[step.name] = step
                return step
        return None

    def finish(self, name: str, done: bool = True) -> None:
        """A step has ended."""
        del self.running[name]
        if done:
            self.done.add(name)

    def _can_start(self, step: Step) -> bool:
        if not self.done.issuperset(step.needs):
            return False
        if not self.running:
            return True
        running = self.running.values()
        return (
            len(self.running) < self._jobs
            and sum(other.memory for other in running) + step.memory <= self._memory_limit
            and (step.exclusive is None or all(other.exclusive != step.exclusive for other in running))
            and self._has_room(step)
        )

    def _has_room(self, step: Step) -> bool:
        begun = {group for name in (*self.done, *self.running) for group in self._groups[name]} - self.done
        return len(begun.union(self._groups[step.name])) <= max(self._most_groups, len(begun))
