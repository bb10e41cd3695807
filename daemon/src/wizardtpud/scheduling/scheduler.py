"""The one line in front of all engines: who is next, who has a slot, and when it all ends."""

from __future__ import annotations

import threading
from time import monotonic

from wizardtpud.engine.engine import Engine
from wizardtpud.errors import DrainingError, StoppedError, WizardtpudError
from wizardtpud.scheduling.events import Failed
from wizardtpud.scheduling.request import Request
from wizardtpud.scheduling.wait_estimate import WaitEstimate
from wizardtpud.scheduling.waiting_line import WaitingLine

_RESTART_SECONDS = 5.0  # after which a client turned away by a stopping daemon may expect another


class Scheduler:
    """Feeds engines from one first-in-first-out line. Any thread may call any method.

    Each engine has a `DecodeLoop` in a thread of its own, which takes from the line and gives back.

    Args:
        queue_capacity: how many requests may wait.
        slots: of all engines together.

    Attributes:
        lock: held by whoever changes a request that others may look at.
        generated_tokens: of all requests so far.
        finished_requests: that were accepted and have ended, however they did.
    """

    def __init__(self, queue_capacity: int, slots: int) -> None:
        self.lock = threading.RLock()
        self.slots = slots
        self.finished_requests = 0
        self.generated_tokens = 0
        self._changed = threading.Condition(self.lock)
        self._estimate = WaitEstimate(slots)
        self._line = WaitingLine(queue_capacity, self._estimate)
        self._engines: list[Engine] = []
        self._running: set[Request] = set()
        self._draining = False
        self._stopped = False

    @property
    def queue_depth(self) -> int:
        return len(self._line)

    @property
    def queue_capacity(self) -> int:
        return self._line.capacity

    @property
    def running(self) -> int:
        """How many requests hold a slot."""
        return len(self._running)

    def submit(self, request: Request) -> None:
        """Puts a request at the end of the line.

        Raises:
            QueueFullError: the line is full.
            DrainingError: no new requests are taken.
        """
        with self._changed:
            if self._draining:
                raise DrainingError("the daemon is stopping and takes no new requests", _RESTART_SECONDS)
            self._line.append(request)
            self._changed.notify()

    def cancel(self, request: Request) -> None:
        """Ends a request without an answer: at once if it waits, after the running step if it has a slot."""
        with self.lock:
            request.cancelled = True
            if self._line.remove(request):
                self.finished_requests += 1

    def drain(self) -> None:
        """Takes no new requests; the loops end when the accepted ones are finished."""
        with self._changed:
            self._draining = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Ends every request, and lets the loops end after the steps they are at."""
        self.fail(StoppedError("the daemon stopped before the answer was complete", _RESTART_SECONDS))

    def fail(self, error: WizardtpudError) -> None:
        """Stops because of an error, which every request is told at once. The first reason to stop counts."""
        with self._changed:
            if self._stopped:
                return
            self._draining = self._stopped = True
            waiting = self._line.take_all()
            self.finished_requests += len(waiting)
            for request in (*self._running, *waiting):
                if not request.cancelled:
                    request.cancelled = True
                    request.outlet.put(Failed(error))
            self._changed.notify_all()

    def check_wanted(self) -> None:
        """Raises StoppedError once told to drain or stop, for work that is done before there is a loop."""
        if self._draining:
            raise StoppedError("the daemon stopped before the model was loaded", _RESTART_SECONDS)

    def join(self, engine: Engine) -> None:
        """Has an engine take its part of the requests from now on."""
        with self.lock:
            self._engines.append(engine)

    def wait_for_work(self, engine: Engine, seconds: float | None = None) -> bool:
        """Waits as long as an engine has nothing to do, at most `seconds`.

        Returns:
            False once it has nothing to do any more.
        """
        with self._changed:
            while not (self._stopped or _taken(engine) or self._line):
                if self._draining:
                    return False
                if not self._changed.wait(seconds):
                    break
            return not self._stopped

    def next_for(self, engine: Engine) -> Request | None:
        """The first in line, if it is this engine that should take it: none with a free slot has less to do.

        To be called, and followed by `started`, with the lock held.
        """
        able = [_taken(each) for each in self._engines if each.free_slots]
        if not (self._line and engine.free_slots and _taken(engine) == min(able)):
            return None
        self._line.first.times.admitted = monotonic()
        return self._line.first

    def started(self, request: Request) -> None:
        """Notes that the first in line has a slot."""
        self._running.add(request)
        self._estimate.started(request)
        self._line.pop()

    def ended(self, request: Request) -> None:
        """Notes that a request has given back its slot."""
        with self.lock:
            self._running.remove(request)
            self._estimate.ended(request)
            self.finished_requests += 1


def _taken(engine: Engine) -> int:
    return engine.slots - engine.free_slots
