"""The bounded bridge from the owner thread to the asyncio side."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable

from wizardtpud.scheduling.events import Delta, Event, Queued


class EventStream:
    """Events of one request: put by any thread without waiting, read by one coroutine.

    Waking the reader costs two thread switches, which a fast model would pay for every token. So a reader
    may `rest`, and Deltas that wait together are read as one. Of several Queued only the newest is read.

    Args:
        capacity: how many events may wait to be read.
        on_overflow: called once in the event loop when a further one is put; the reader may be stuck in a
            write of its own, so it has to be told from outside.
    """

    def __init__(self, capacity: int, on_overflow: Callable[[], object]) -> None:
        self._capacity = capacity
        self._on_overflow = on_overflow
        self._events: deque[Event] = deque()
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._readable = asyncio.Event()
        self._woken = False
        self._wake_at = 1
        self.overflowed = False

    def put(self, event: Event) -> bool:
        """Takes an event; False, and it is lost, once there was no room for one."""
        with self._lock:
            if self.overflowed:
                return False
            if isinstance(event, Queued):
                self._events.clear()  # only older positions can be there, for being queued comes first
            if len(self._events) >= self._capacity:
                self.overflowed = True
                self._loop.call_soon_threadsafe(self._on_overflow)
                return False
            self._events.append(event)
            if not self._woken and self._worth_waking():
                self._woken = True
                self._loop.call_soon_threadsafe(self._readable.set)
            return True

    async def get(self) -> Event:
        """The next event, in the order they were put; a Delta has all the following ones in it that are there."""
        self._wake_at = 1
        while not self._events:
            await self._wait()
        with self._lock:
            event = self._events.popleft()
            return self._gathered(event) if isinstance(event, Delta) else event

    async def rest(self, seconds: float) -> None:
        """Lets Deltas gather, but no longer than until half of the capacity is used or another event comes."""
        self._wake_at = self._capacity // 2
        # Not asyncio.wait_for: before Python 3.12 it loses a cancellation that comes together with an event.
        alarm = self._loop.call_later(seconds, self._readable.set)
        try:
            await self._wait()
        finally:
            alarm.cancel()

    async def _wait(self) -> None:
        self._readable.clear()
        with self._lock:
            self._woken = self._worth_waking()
        if not self._woken:
            await self._readable.wait()

    def _worth_waking(self) -> bool:
        events = self._events
        return len(events) >= self._wake_at or (len(events) > 0 and not isinstance(events[-1], Delta))

    def _gathered(self, first: Delta) -> Delta:
        deltas = [first]
        while self._events and isinstance(self._events[0], Delta):
            following = self._events.popleft()
            assert isinstance(following, Delta)
            deltas.append(following)
        if len(deltas) == 1:
            return first
        return Delta(
            "".join(delta.text for delta in deltas), tuple(token for delta in deltas for token in delta.tokens)
        )
