"""Notices work on a device that does not return."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

from wizardtpud.errors import DeviceHungError

_RESTART_SECONDS = 10.0  # after which a client may expect the daemon to have been started again
_LOOKS = 10  # within the shortest of the times that work may take


@dataclass(frozen=True)
class TimeLimits:
    """Seconds that work on a device may take; None is any time.

    Attributes:
        step: for a step of every sequence that an engine runs.
        load: for loading a model, and for closing it.
    """

    step: float | None = None
    load: float | None = None


NO_LIMITS = TimeLimits()


class DeviceWatch:
    """Times the work of an engine's thread: that spans all of it with `step` and `load`, and any thread may look.

    Args:
        name: of what works.
        clock: seconds, never going backwards.
    """

    def __init__(self, name: str, limits: TimeLimits = NO_LIMITS, clock: Callable[[], float] = monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._name = name
        self._work: tuple[str, float, float] | None = None

    @contextmanager
    def step(self) -> Iterator[None]:
        """Spans a step of every sequence."""
        with self._span("step", self.limits.step):
            yield

    @contextmanager
    def load(self) -> Iterator[None]:
        """Spans loading, or closing."""
        with self._span("load", self.limits.load):
            yield

    @property
    def error(self) -> DeviceHungError | None:
        """What to tell, once the work under way takes longer than it may."""
        work = self._work
        if work is None or self._clock() - work[1] <= work[2]:
            return None
        kind, _, limit = work
        return DeviceHungError(
            f"a {kind} on {self._name} has not returned after {limit:g} s, and the daemon ends; if this happens "
            f"again, restart the machine, or raise {kind}_seconds if a {kind} may take so long",
            _RESTART_SECONDS,
        )

    @contextmanager
    def _span(self, kind: str, limit: float | None) -> Iterator[None]:
        if limit is not None:
            self._work = kind, self._clock(), limit
        try:
            yield
        finally:
            self._work = None


class HangAlarm:
    """Looks at watches every so often, in the event loop it is made in.

    Attributes:
        raised: holds a DeviceHungError once work takes longer than it may.
    """

    def __init__(self, watches: Iterable[DeviceWatch]) -> None:
        self._watches = list(watches)
        self._loop = asyncio.get_running_loop()
        self.raised: asyncio.Future[None] = self._loop.create_future()
        limits = [limit for w in self._watches for limit in (w.limits.step, w.limits.load) if limit is not None]
        if limits:
            self._look(min(limits) / _LOOKS)

    def _look(self, interval: float) -> None:
        error = next((error for watch in self._watches if (error := watch.error)), None)
        if error is None:
            self._loop.call_later(interval, self._look, interval)
        else:
            self.raised.set_exception(error)
