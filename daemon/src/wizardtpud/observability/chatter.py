"""What libraries print about a device, as records of the log."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from time import monotonic

from wizardtpud.observability.logging import log

# As in "[BMRT][load_bmodel:1084] INFO:Loading", "[bmlib_memory][error] bm_alloc_gmem failed", "ASSERT info: none."
_TOLD = re.compile(
    r"(\[[^\]]*\]\s*)*\[?(?P<level>verbose|debug|info|warn|warning|error|fatal|panic|assert)\b", re.IGNORECASE
)
_LEVELS = {
    **dict.fromkeys(("verbose", "debug", "info"), "debug"),
    **dict.fromkeys(("warn", "warning"), "warning"),
    **dict.fromkeys(("error", "fatal", "panic", "assert"), "error"),
}
_TROUBLE = re.compile(r"error|fail|assert|abort|exhausted|cannot|timed? ?out|invalid", re.IGNORECASE)
_PERIOD = 10.0  # seconds in which a line is written once
_MOST_KEPT = 1000  # different lines in that time


def level_of(line: str) -> str:
    """The level that a line is worth: its own, but information is debugging to us.

    A line without one is a warning if it speaks of trouble: such lines often come just before the process ends.
    """
    told = _TOLD.match(line)
    if told:
        return _LEVELS[told["level"].lower()]
    return "warning" if _TROUBLE.search(line) else "debug"


class Chatter:
    """Logs lines. Of equal ones the first is logged, and some time later how often it came again."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._seen: Counter[str] = Counter()

    def take(self, line: str) -> None:
        """Logs a line, or counts it."""
        if self._clock() - self._since >= _PERIOD or len(self._seen) >= _MOST_KEPT:
            self.flush()
        self._seen[line] += 1
        if self._seen[line] == 1:
            _log(line)

    def flush(self) -> None:
        """Logs what has been counted, and begins anew."""
        for line, times in self._seen.items():
            if times > 1:
                _log(line, times - 1)
        self._seen.clear()
        self._since = self._clock()


def _log(line: str, again: int | None = None) -> None:
    getattr(log, level_of(line))("the device's library says", text=line, again=again)
