"""How a person sees work advance that goes through a few stages: an install, a check, an import."""

from __future__ import annotations

import sys
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn


class StageProgress(Protocol):
    """Told of one stage after the other; amounts of work are bytes."""

    def start(self, stage: str, work: int | None) -> None:
        """A stage begins; `work` is None if how much it is cannot be known."""

    def advance(self, work: int) -> None: ...

    def close(self) -> None:
        """No more is to come, be it that it failed."""


class StageBar:
    """A bar for the stage at hand, on a terminal."""

    def __init__(self) -> None:
        stage, done, left = TextColumn("{task.description:40}"), DownloadColumn(), TimeRemainingColumn()
        console = Console(stderr=True)
        spinner = SpinnerColumn("line")  # of ASCII alone
        self._bar = Progress(spinner, stage, BarColumn(), done, left, console=console, transient=True)
        self._task = self._bar.add_task("", total=None)
        self._bar.start()

    def start(self, stage: str, work: int | None) -> None:
        self._bar.remove_task(self._task)
        self._task = self._bar.add_task(stage, total=work)

    def advance(self, work: int) -> None:
        self._bar.advance(self._task, work)

    def close(self) -> None:
        self._bar.stop()


class StageLines:
    """A plain line for each stage, for logs."""

    def start(self, stage: str, work: int | None) -> None:
        size = "" if work is None else f", {work / 1e6:.0f} MB"
        print(f"{stage}{size}", file=sys.stderr, flush=True)

    def advance(self, work: int) -> None: ...

    def close(self) -> None: ...


def person_progress() -> StageProgress:
    """A bar if standard error is a terminal that can move its cursor, else lines."""
    return StageBar() if Console(stderr=True).is_interactive else StageLines()
