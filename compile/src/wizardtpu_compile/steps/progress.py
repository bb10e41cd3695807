"""How a person sees the steps of a build advance."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from wizardtpu_compile.steps.record import StepRecord
from wizardtpu_compile.steps.step import PEAK_MEMORY, Step
from wizardtpu_compile.steps.tally import Tally


class StepProgress(Protocol):
    """Told about each step, by one thread."""

    def begin(self, steps: Sequence[Step], total: int, jobs: int) -> None:
        """These steps of `total` are to be run; the others were done before."""

    def start(self, step: Step) -> None: ...

    def finish(self, step: Step, record: StepRecord) -> None:
        """A step is done; one that failed is never finished."""

    def close(self) -> None:
        """No more is to come, be it that the build failed."""


class _NoProgress:
    def begin(self, steps: Sequence[Step], total: int, jobs: int) -> None: ...

    def start(self, step: Step) -> None: ...

    def finish(self, step: Step, record: StepRecord) -> None: ...

    def close(self) -> None: ...


NO_STEP_PROGRESS: StepProgress = _NoProgress()
"""For callers that look at the result alone."""


class StepLines:
    """Plain lines for logs: one every two seconds at most, none in a build that is shorter; all when verbose."""

    PAUSE = 2.0  # seconds

    def __init__(self, verbose: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._verbose = verbose
        self._clock = clock
        self._tally = Tally((), 0, 1, clock)
        self._told = clock()
        self._talked = verbose

    def begin(self, steps: Sequence[Step], total: int, jobs: int) -> None:
        self._tally = Tally(steps, total, jobs, self._clock)
        self._told = self._clock()
        if kept := _kept(self._tally):
            self._print(kept)
        if self._verbose:
            self._print(f"{len(steps)} steps to run, {jobs} at once")

    def start(self, step: Step) -> None:
        self._tally.start(step)

    def finish(self, step: Step, record: StepRecord) -> None:
        self._tally.finish(step, record)
        if self._verbose or self._clock() - self._told >= self.PAUSE:
            self._print(f"{_described(step.name, record)}; {_position(self._tally)}")
            self._talked, self._told = True, self._clock()

    def close(self) -> None:
        if self._talked and self._tally.complete:
            self._print(_summary(self._tally))

    def _print(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)


class StepBars:
    """On a terminal: a bar for the whole, and what is running below it."""

    def __init__(self, verbose: bool, console: Console | None = None) -> None:
        self._verbose = verbose
        self._tally = Tally((), 0, 1)
        self._lock = threading.Lock()  # the display draws in a thread of its own
        console = console or Console(stderr=True)
        self._live = Live(console=console, get_renderable=self._shown, refresh_per_second=4, transient=True)

    def begin(self, steps: Sequence[Step], total: int, jobs: int) -> None:
        self._tally = Tally(steps, total, jobs)
        if kept := _kept(self._tally):
            self._print(kept)
        self._live.start(refresh=True)

    def start(self, step: Step) -> None:
        with self._lock:
            self._tally.start(step)

    def finish(self, step: Step, record: StepRecord) -> None:
        with self._lock:
            self._tally.finish(step, record)
        self._live.refresh()  # or what is printed is followed by the display as it was
        if self._verbose:
            self._print(_described(step.name, record))

    def close(self) -> None:
        self._live.stop()
        if self._tally.complete:
            self._print(_summary(self._tally))

    def _print(self, line: str) -> None:
        self._live.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _shown(self) -> Group:
        with self._lock:
            share, running = self._tally.share, self._tally.running
            text = f"{_position(self._tally)}; largest process {_size(self._tally.peak_memory)}"
        head = Table.grid(padding=(0, 1))
        head.add_row(ProgressBar(total=1.0, completed=share, width=30), text)
        return Group(head, *(Text(f"  {name}  {_duration(seconds)}") for name, seconds in running.items()))


def person_step_progress(verbose: bool) -> StepProgress:
    """A display if standard error is a terminal that can move its cursor, else lines."""
    return StepBars(verbose) if Console(stderr=True).is_interactive else StepLines(verbose)


def _kept(tally: Tally) -> str:
    return f"{tally.kept} of {tally.total} steps are kept from an earlier build" if tally.kept else ""


def _described(name: str, record: StepRecord) -> str:
    facts = {fact: value for fact, value in record.report.items() if isinstance(value, (int, float))}
    memory = [_size(peak)] if (peak := facts.pop(PEAK_MEMORY, None)) else []
    rest = (f"{fact.replace('_', ' ')} {value:.7g}" for fact, value in facts.items())
    return f"{name}: {', '.join([_duration(record.seconds), *memory, *rest])}"


def _position(tally: Tally) -> str:
    left = f", about {_duration(tally.seconds_left)} left" if not tally.complete else ""
    return f"{tally.done} of {tally.total} steps, {tally.share:.0%}{left}"


def _summary(tally: Tally) -> str:
    ran = f"{tally.total - tally.kept} steps in {_duration(tally.seconds)}"
    kept = f", {tally.kept} kept" if tally.kept else ""
    return f"{ran}{kept}; largest process {_size(tally.peak_memory)}"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _size(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
