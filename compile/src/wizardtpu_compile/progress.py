"""How a person sees a build advance."""

from __future__ import annotations

import sys
import time
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn


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
        name, share, left = TextColumn("{task.description:16}"), TaskProgressColumn(), TimeRemainingColumn()
        console = Console(stderr=True)
        spinner = SpinnerColumn("line")  # of ASCII alone
        self._bar = Progress(spinner, name, BarColumn(), share, left, console=console, transient=True)
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
    """Plain lines for logs: one for each network if the build takes its time, or when verbose."""

    LARGE = 20_000_000  # weights: about two seconds of work

    def __init__(self, total: int, verbose: bool) -> None:
        self._total, self._done = total, 0
        self._talking = verbose or total >= self.LARGE
        self._began = time.monotonic()
        self._print(f"{total / 1e6:.1f} million weights to write and verify")

    def start(self, name: str) -> None: ...

    def finish(self, name: str, work: int, detail: str) -> None:
        self._done += work
        share = self._done / self._total
        left = (time.monotonic() - self._began) * (1 - share) / share
        self._print(f"{name}: {detail}; {share:.0%} done, about {left:.0f} s left")

    def close(self) -> None: ...

    def _print(self, line: str) -> None:
        if self._talking:
            print(line, file=sys.stderr, flush=True)


def person_progress(total: int, verbose: bool) -> BuildProgress:
    """A bar if standard error is a terminal that can move its cursor, else lines."""
    return (ProgressBar if Console(stderr=True).is_interactive else ProgressLines)(total, verbose)
