"""How a person sees a build advance."""

from __future__ import annotations

import sys
import time
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


class BuildProgress(Protocol):
    """Told about each network; amounts of work are in weights (parameters) read."""

    def start(self, name: str) -> None:
        """Work on a network begins."""

    def finish(self, name: str, work: int, detail: str) -> None:
        """A network is written and verified; `detail` is a few words about it."""

    def close(self) -> None:
        """No more is to come, be it that the build failed."""


class NoProgress:
    """For callers that look at the result alone."""

    def start(self, name: str) -> None: ...

    def finish(self, name: str, work: int, detail: str) -> None: ...

    def close(self) -> None: ...


class ProgressBar:
    """A bar with the time that remains, on a terminal."""

    def __init__(self, total: int, verbose: bool) -> None:
        self._verbose = verbose
        columns = (TextColumn("{task.description:16}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task("", total=total)
        self._bar.start()

    def start(self, name: str) -> None:
        self._bar.update(self._task, description=name)

    def finish(self, name: str, work: int, detail: str) -> None:
        self._bar.advance(self._task, work)
        if self._verbose:
            self._bar.console.print(f"{name}: {detail}", highlight=False)

    def close(self) -> None:
        self._bar.stop()


class ProgressLines:
    """Plain lines for logs: every few seconds, or for each network when verbose."""

    INTERVAL = 2.0  # seconds

    def __init__(self, total: int, verbose: bool) -> None:
        self._total, self._done = total, 0
        self._verbose = verbose
        self._began = self._printed = time.monotonic()

    def start(self, name: str) -> None: ...

    def finish(self, name: str, work: int, detail: str) -> None:
        self._done += work
        now = time.monotonic()
        if self._verbose or now - self._printed >= self.INTERVAL:
            self._printed = now
            share = self._done / self._total
            left = (now - self._began) * (1 - share) / share
            print(f"{name}: {detail}; {share:.0%} done, about {left:.0f} s left", file=sys.stderr, flush=True)

    def close(self) -> None: ...


def person_progress(total: int, verbose: bool) -> BuildProgress:
    """A bar if standard error is a terminal, else lines."""
    return (ProgressBar if sys.stderr.isatty() else ProgressLines)(total, verbose)
