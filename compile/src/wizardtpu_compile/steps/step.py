"""What a build consists of."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

StepReport = Mapping[str, Any]
"""Facts about a step that are kept with its record: whatever msgspec writes as JSON, and numbers of numpy.

`PEAK_MEMORY`, in bytes, is shown to the person who waits.
"""

PEAK_MEMORY = "peak_memory"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class StepDirectory:
    """Where a step works: an empty directory of its own, kept until another step discards its files.

    Attributes:
        path: the directory.
        log: a file in it for whatever is worth reading when the step fails.
        digest: sha256 of everything that decides the step's result, the steps it needs included.
        cancelled: set when the build is interrupted; for `run_logged`.
        needed: directories of the steps it needs.
    """

    path: Path
    log: Path
    digest: str
    cancelled: threading.Event
    needed: Mapping[str, Path]

    def of(self, name: str) -> Path:
        """The directory of a step that this one needs.

        Raises:
            KeyError: it does not say that it needs it.
        """
        return self.needed[name]


@dataclass(frozen=True)
class Step:
    """A piece of work whose result is files in its directory, or one addition to something outside.

    Attributes:
        name: unique in a build; also names its directory.
        digest: sha256 of everything that decides its result, but for the steps it needs.
        needs: steps whose files it reads, or that must be done before it.
        memory: estimate of its peak, in bytes.
        work: seconds it is expected to take; how they compare to those of other steps is what counts.
        run: does it; runs in a thread of its own, and again from the start if it did not come to an end.
        disk: estimate of what its files take, in bytes, from when it runs until they are discarded.
        discards: steps whose files are not needed any more once this one and all others that need them are done.
    """

    name: str
    digest: str
    needs: tuple[str, ...]
    memory: int
    work: float
    run: Callable[[StepDirectory], StepReport]
    disk: int = 0
    discards: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} cannot name a step: it is to name a directory")
