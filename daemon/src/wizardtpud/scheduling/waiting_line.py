"""The bounded first-in-first-out line of requests that wait for a slot."""

from __future__ import annotations

from collections import deque

from wizardtpud.errors import QueueFullError
from wizardtpud.scheduling.events import Queued
from wizardtpud.scheduling.request import Request
from wizardtpud.scheduling.wait_estimate import WaitEstimate


class WaitingLine:
    """Not thread-safe: the scheduler's lock guards it. Everyone behind a change is told the new position."""

    def __init__(self, capacity: int, estimate: WaitEstimate) -> None:
        self.capacity = capacity
        self._estimate = estimate
        self._requests: deque[Request] = deque()

    def __len__(self) -> int:
        return len(self._requests)

    def append(self, request: Request) -> None:
        """Adds a request at the end.

        Raises:
            QueueFullError: there is no room.
        """
        if len(self._requests) >= self.capacity:
            raise QueueFullError(
                f"the queue is full: {self.capacity} requests are waiting",
                retry_after=self._estimate.of(1) or 1.0,
            )
        self._requests.append(request)
        self._tell(request, len(self._requests))

    @property
    def first(self) -> Request:
        return self._requests[0]

    def pop(self) -> None:
        """Takes the first request out."""
        self._requests.popleft()
        self._tell_from(0)

    def take_all(self) -> list[Request]:
        """Takes everybody out."""
        requests = list(self._requests)
        self._requests.clear()
        return requests

    def remove(self, request: Request) -> bool:
        """Takes a request out wherever it stands; False if it does not wait here."""
        try:
            place = self._requests.index(request)
        except ValueError:
            return False
        del self._requests[place]
        self._tell_from(place)
        return True

    def _tell_from(self, place: int) -> None:
        for index in range(place, len(self._requests)):
            self._tell(self._requests[index], index + 1)

    def _tell(self, request: Request, position: int) -> None:
        request.outlet.put(Queued(position, self._estimate.of(position)))
