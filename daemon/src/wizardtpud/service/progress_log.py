"""Progress of long work, in the log: a line every few seconds, none for work that is quick."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from wizardtpud.observability.logging import log

_INTERVAL = 2.0  # seconds


class ProgressLog:
    """Called with what is done and what there is to do, in bytes. `fields` are in every line."""

    def __init__(self, work: str, clock: Callable[[], float] = monotonic, **fields: object) -> None:
        self._work = work
        self._fields = fields
        self._clock = clock
        self._last = clock()

    def __call__(self, done: int, total: int) -> None:
        now = self._clock()
        if now - self._last >= _INTERVAL:
            self._last = now
            percent = round(100 * done / total) if total else 100
            log.info(self._work, percent=percent, megabytes=round(done / 1e6), **self._fields)
