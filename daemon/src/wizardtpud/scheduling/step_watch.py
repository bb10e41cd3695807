"""Notices a step of an engine that does not return."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from time import monotonic

from wizardtpud.errors import DeviceHungError

_RESTART_SECONDS = 10.0  # after which a client may expect the daemon to have been started again
_LOOKS = 10  # within the time a step may take


class StepWatch:
    """Times the steps of an engine: its thread spans each of them with this, and any thread may look.

    Args:
        name: of what takes the steps.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._since: float | None = None

    @property
    def seconds(self) -> float:
        """How long the running step has taken so far; 0 between steps."""
        since = self._since
        return 0.0 if since is None else monotonic() - since

    def __enter__(self) -> None:
        self._since = monotonic()

    def __exit__(self, *_: object) -> None:
        self._since = None


class HangAlarm:
    """Looks at watches every so often, in the event loop it is made in.

    Args:
        limit: seconds that a step may take.

    Attributes:
        raised: holds a DeviceHungError once a step takes longer.
    """

    def __init__(self, watches: Iterable[StepWatch], limit: float) -> None:
        self._watches = list(watches)
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self.raised: asyncio.Future[None] = self._loop.create_future()
        self._look()

    def _look(self) -> None:
        for watch in self._watches:
            if watch.seconds > self._limit:
                self.raised.set_exception(self._error(watch))
                return
        self._loop.call_later(self._limit / _LOOKS, self._look)

    def _error(self, watch: StepWatch) -> DeviceHungError:
        return DeviceHungError(
            f"a step on {watch.name} has not returned after {self._limit:g} s, and the daemon ends; if this "
            "happens again, restart the machine, or raise step_seconds if steps may take so long",
            _RESTART_SECONDS,
        )
