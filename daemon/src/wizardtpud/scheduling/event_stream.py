"""The bounded bridge from the owner thread to the asyncio side."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from wizardtpud.scheduling.events import Event


class EventStream:
    """Events of one request: put by any thread without waiting, read by one coroutine.

    Args:
        capacity: how many events may wait to be read.
        on_overflow: called once in the event loop when a further one is put; the reader may be stuck in a
            write of its own, so it has to be told from outside.
    """

    def __init__(self, capacity: int, on_overflow: Callable[[], object]) -> None:
        self._capacity = capacity
        self._on_overflow = on_overflow
        self._events: deque[Event] = deque()
        self._loop = asyncio.get_running_loop()
        self._readable = asyncio.Event()
        self._woken = False
        self.overflowed = False

    def put(self, event: Event) -> bool:
        """Takes an event, from one thread at a time; False, and it is lost, once there was no room for one."""
        if self.overflowed:
            return False
        if len(self._events) >= self._capacity:
            self.overflowed = True
            self._loop.call_soon_threadsafe(self._on_overflow)
            return False
        self._events.append(event)
        if not self._woken:  # waking the loop costs a system call: once per batch of events is enough
            self._woken = True
            self._loop.call_soon_threadsafe(self._readable.set)
        return True

    async def get(self) -> Event:
        """The next event, in the order they were put."""
        while not self._events:
            self._readable.clear()
            self._woken = False
            if not self._events:  # one may have come before the flag was down
                await self._readable.wait()
        return self._events.popleft()
