"""How long a request in the queue will probably wait."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from time import monotonic

_WEIGHT = 0.2  # of the newest duration in the moving average: about ten requests of memory


class WaitEstimate:
    """An exponential moving average of how long requests hold a slot, applied to a place in the line.

    Not thread-safe: the scheduler's lock guards it.
    """

    def __init__(self, slots: int, clock: Callable[[], float] = monotonic) -> None:
        self._slots = slots
        self._clock = clock
        self._mean: float | None = None
        self._running: dict[object, float] = {}

    def started(self, request: object) -> None:
        self._running[request] = self._clock()

    def ended(self, request: object) -> None:
        held = self._clock() - self._running.pop(request)
        self._mean = held if self._mean is None else (1 - _WEIGHT) * self._mean + _WEIGHT * held

    def of(self, position: int) -> float | None:
        """Seconds until the request at `position` (1 is next) gets a slot; None without experience."""
        free = self._slots - len(self._running)
        if position <= free:
            return 0.0
        if self._mean is None:
            return None
        rounds, turn = divmod(position - 1, self._slots)
        return rounds * self._mean + (0.0 if turn < free else self._remaining(turn - free, self._mean))

    def _remaining(self, place: int, mean: float) -> float:
        """Seconds until the running request that started as number `place` (0 is the oldest) ends, on average."""
        start = next(islice(self._running.values(), place, None))
        return max(0.0, start + mean - self._clock())
