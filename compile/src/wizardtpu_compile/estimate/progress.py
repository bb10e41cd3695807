"""How a person sees the networks of an estimate being compiled."""

from __future__ import annotations

import sys
import time
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn


class EstimateProgress(Protocol):
    """Told about each network."""

    def start(self, total: int) -> None:
        """So many networks will be compiled."""

    def finish(self, name: str) -> None:
        """One of them is."""

    def close(self) -> None:
        """No more is to come, be it that one failed."""


class NoProgress:
    """For callers that look at the result alone."""

    def start(self, total: int) -> None: ...

    def finish(self, name: str) -> None: ...

    def close(self) -> None: ...


class ProgressBar:
    """A bar with the time that remains, on a terminal."""

    def __init__(self) -> None:
        name, done = TextColumn("{task.description:32}"), MofNCompleteColumn()
        spinner = SpinnerColumn("line")  # of ASCII alone
        console = Console(stderr=True)
        self._bar = Progress(
            spinner, name, BarColumn(), done, TimeRemainingColumn(), console=console, transient=True
        )
        self._task = self._bar.add_task("compiling", total=None)
        self._bar.start()

    def start(self, total: int) -> None:
        self._bar.update(self._task, total=total)

    def finish(self, name: str) -> None:
        self._bar.update(self._task, description=name, advance=1)

    def close(self) -> None:
        self._bar.stop()


class ProgressLines:
    """A plain line for each network, for logs."""

    def __init__(self) -> None:
        self._total = self._done = 0
        self._began = time.monotonic()

    def start(self, total: int) -> None:
        self._total = total
        print(f"{total} networks to compile", file=sys.stderr, flush=True)

    def finish(self, name: str) -> None:
        self._done += 1
        left = (time.monotonic() - self._began) / self._done * (self._total - self._done)
        line = f"{name}: {self._done} of {self._total} done, about {left:.0f} s left"
        print(line, file=sys.stderr, flush=True)

    def close(self) -> None: ...


def person_progress() -> EstimateProgress:
    """A bar if standard error is a terminal that can move its cursor, else lines."""
    return ProgressBar() if Console(stderr=True).is_interactive else ProgressLines()
