"""How far a build has come."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence

from wizardtpu_compile.steps.record import StepRecord
from wizardtpu_compile.steps.step import Step

_TRUST = 5.0  # seconds of work after which what was seen weighs as much as what was expected


class Tally:
    """Counts the steps of a run and tells how long the rest will take.

    Attributes:
        total: steps of the build.
        kept: those that an earlier run has done.
        done: those that are done, the kept ones included.
        peak_memory: bytes, of the largest process so far: this one or one that a step ran.
    """

    def __init__(
        self, steps: Sequence[Step], total: int, jobs: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.total = total
        self.kept = self.done = total - len(steps)
        self._jobs = jobs
        self._clock = clock
        self._began = clock()
        self._work_left = {step.name: step.work for step in steps}
        self._work_total = sum(self._work_left.values())
        self._work_seen = self._seconds_seen = _TRUST
        self._started: dict[str, float] = {}
        self._largest = 0

    def start(self, step: Step) -> None:
        self._started[step.name] = self._clock()

    def finish(self, step: Step, record: StepRecord) -> None:
        del self._started[step.name]
        self._work_seen += self._work_left.pop(step.name)
        self._seconds_seen += record.seconds
        self._largest = max(self._largest, record.peak_memory or 0)
        self.done += 1

    @property
    def complete(self) -> bool:
        return self.done == self.total

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return self._clock() - self._began

    @property
    def share(self) -> float:
        """Of the work of this run, how much is done."""
        return 1 - sum(self._work_left.values()) / self._work_total if self._work_left else 1.0

    @property
    def running(self) -> dict[str, float]:
        """Seconds since each of the running steps was started."""
        now = self._clock()
        return {name: now - began for name, began in self._started.items()}

    @property
    def seconds_left(self) -> float:
        """Work becomes seconds as it did so far; no more than `jobs` steps share them, and no step is shared."""
        running = self.running
        pace = self._seconds_seen / self._work_seen
        left = [max(0.0, work * pace - running.get(name, 0.0)) for name, work in self._work_left.items()]
        return max(sum(left) / self._jobs, max(left, default=0.0))

    @property
    def peak_memory(self) -> int:
        return max(self._largest, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
