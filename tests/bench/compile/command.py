"""`wizardtpu-compile` as a person runs it, watched."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

_LOOK_SECONDS = 0.05
_HIGH_WATER = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)


class CommandError(Exception):
    """A command that is measured failed."""


@dataclass(frozen=True)
class Usage:
    """What a command took.

    Attributes:
        seconds: from its start to its end.
        own_peak: bytes of memory, of its own process; what it rises to in the last twentieth of a second may be
            missed.
        largest_peak: bytes of memory, of the largest of its process and all it started.
        output: what it printed.
    """

    seconds: float
    own_peak: int
    largest_peak: int
    output: str


class Command:
    """A running command; it is killed with the block that it is entered for."""

    def __init__(self, arguments: Sequence[object], scratch: Path) -> None:
        self._arguments = [str(argument) for argument in arguments]
        self._output, self._log = scratch / "output", scratch / "log"
        self._began = time.monotonic()
        with self._output.open("wb") as output, self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "wizardtpu_compile", *self._arguments], stdout=output, stderr=log
            )
        self._own_peak = 0
        self._usage: Usage | None = None

    def __enter__(self) -> Command:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def seconds(self) -> float:
        """Since it was started."""
        return time.monotonic() - self._began

    def ended(self) -> bool:
        """Whether it has ended; to be asked again and again, for that is when its memory is looked at."""
        if self._usage is None:
            self._look(os.WNOHANG)
        return self._usage is not None

    def kill(self) -> None:
        """Sends SIGKILL, if it still runs, to its own process alone."""
        if not self.ended():
            self._process.kill()
            self._look(0)

    def finish(self, watch: Callable[[], None] = lambda: None) -> Usage:
        """Waits for the end, calling `watch` all the time.

        Raises:
            CommandError: it failed.
        """
        while not self.ended():
            watch()
            time.sleep(_LOOK_SECONDS)
        assert self._usage is not None
        if self._process.returncode != 0:
            said = self._log.read_text(errors="replace")[-2000:]
            raise CommandError(f"wizardtpu-compile {' '.join(self._arguments)}: {said}")
        return self._usage

    def _look(self, flags: int) -> None:
        pid = self._process.pid
        status = Path(f"/proc/{pid}/status").read_text()
        if found := _HIGH_WATER.search(status):
            self._own_peak = int(found[1]) * 1024
        ended, code, usage = os.wait4(pid, flags)
        if ended:
            self._process.returncode = os.waitstatus_to_exitcode(code)
            output = self._output.read_text(errors="replace")
            self._usage = Usage(self.seconds, self._own_peak, usage.ru_maxrss * 1024, output)


def run(arguments: Sequence[object], scratch: Path) -> Usage:
    """Runs a command to its end.

    Raises:
        CommandError: it failed.
    """
    with Command(arguments, scratch) as command:
        return command.finish()
