"""The decode loop: admits requests in order, steps the engine, and hands on what it yields."""

from __future__ import annotations

import threading
from time import monotonic

from wizardtpud.engine.engine import Engine, Progress
from wizardtpud.engine.sequence import FinishReason, Sequence
from wizardtpud.engine.token import Token
from wizardtpud.errors import DrainingError, StoppedError, WizardtpudError
from wizardtpud.scheduling.events import Delta, Failed, Finished, Started
from wizardtpud.scheduling.request import Request
from wizardtpud.scheduling.wait_estimate import WaitEstimate
from wizardtpud.scheduling.waiting_line import WaitingLine

_RESTART_SECONDS = 5.0  # after which a client turned away by a stopping daemon may expect another


class Scheduler:
    """Feeds one engine from one first-in-first-out line.

    `run` belongs to the thread that owns the device; every other method may be called from any thread.
    """

    def __init__(self, queue_capacity: int) -> None:
        self._changed = threading.Condition()
        self._estimate = WaitEstimate()
        self._line = WaitingLine(queue_capacity, self._estimate)
        self._running: dict[Sequence, Request] = {}
        self._draining = False
        self._stopped = False
        self.finished_requests = 0
        self.generated_tokens = 0

    @property
    def queue_depth(self) -> int:
        return len(self._line)

    @property
    def queue_capacity(self) -> int:
        return self._line.capacity

    @property
    def running(self) -> int:
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
        """Ends a request without an answer: at once if it waits, after the running step if it has the device."""
        with self._changed:
            request.cancelled = True
            if self._line.remove(request):
                self.finished_requests += 1

    def drain(self) -> None:
        """Takes no new requests; `run` returns when the accepted ones are finished."""
        with self._changed:
            self._draining = True
            self._changed.notify()

    def stop(self) -> None:
        """Lets `run` fail what is not finished and return."""
        with self._changed:
            self._draining = self._stopped = True
            self._changed.notify()

    def check_wanted(self) -> None:
        """Raises StoppedError once told to drain or stop, for work that is done before `run`."""
        if self._draining:
            raise StoppedError("the daemon stopped before the model was loaded", _RESTART_SECONDS)

    def run(self, engine: Engine) -> None:
        """Serves until drained or stopped.

        Raises:
            DeviceError: the device failed. Every request has been told so.
        """
        self._estimate.set_slots(engine.slots)
        try:
            while self._wait_for_work():
                self._drop_cancelled(engine)
                self._admit(engine)
                for progress in engine.step():
                    self._advance(engine, progress)
        except Exception as error:  # nobody else would tell the waiting clients
            known = error if isinstance(error, WizardtpudError) else WizardtpudError("the decode loop failed")
            self._fail_all(engine, known)
            raise
        self._fail_all(engine, StoppedError("the daemon stopped before the answer was complete", _RESTART_SECONDS))

    def _wait_for_work(self) -> bool:
        with self._changed:
            while not (self._stopped or self._running or self._line):
                if self._draining:
                    return False
                self._changed.wait()
            return not self._stopped

    def _drop_cancelled(self, engine: Engine) -> None:
        for sequence, request in list(self._running.items()):
            if request.cancelled:
                self._release(engine, sequence)

    def _admit(self, engine: Engine) -> None:
        with self._changed:
            while self._line and engine.free_slots:
                self._start(engine, self._line.first)

    def _start(self, engine: Engine, request: Request) -> None:
        request.times.admitted = monotonic()
        sequence = engine.admit(request.prompt, request.sampling, request.max_new_tokens)
        request.reused_tokens = sequence.reused_tokens
        self._running[sequence] = request
        self._estimate.started(request)
        self._line.pop()  # last: had admission failed, it would wait there to be told
        request.outlet.put(Started(len(request.prompt), sequence.reused_tokens))

    def _advance(self, engine: Engine, progress: Progress) -> None:
        sequence, request = progress.sequence, self._running[progress.sequence]
        with self._changed:  # whoever cancels a request reads its counts then: nothing may be added any more
            if request.cancelled or not progress.tokens:
                return
            text = self._take(request, progress.tokens)
        if request.transcript.stopped_by is not None:
            self._finish(engine, sequence, FinishReason.STOP_SEQUENCE, text)
        elif sequence.finish is not None:
            self._finish(engine, sequence, sequence.finish, text)
        elif text and not self._send(request, text):
            self._release(engine, sequence)

    def _take(self, request: Request, tokens: list[Token]) -> str:
        """Adds tokens to an answer, as far as a stop sequence; returns the text that may be shown."""
        request.times.generated()
        text = ""
        for token in tokens:
            request.generated_tokens += 1
            self.generated_tokens += 1
            request.unsent.append(token)
            text += request.transcript.push(token.id)
            if request.transcript.stopped_by is not None:
                break
        return text

    def _finish(self, engine: Engine, sequence: Sequence, reason: FinishReason, text: str) -> None:
        request = self._running[sequence]
        text += request.transcript.finish()
        self._release(engine, sequence)
        self._send(request, text)
        request.outlet.put(Finished(reason, request.transcript.stopped_by))

    @staticmethod
    def _send(request: Request, text: str) -> bool:
        tokens, request.unsent = tuple(request.unsent), []
        return request.outlet.put(Delta(text, tokens))

    def _release(self, engine: Engine, sequence: Sequence) -> None:
        engine.release(sequence)
        request = self._running.pop(sequence)
        with self._changed:
            self._estimate.ended(request)
            self.finished_requests += 1

    def _fail_all(self, engine: Engine, error: WizardtpudError) -> None:
        with self._changed:
            self._draining = True
            waiting = self._line.take_all()
            self.finished_requests += len(waiting)
        running = dict(self._running)
        for sequence in running:
            self._release(engine, sequence)
        for request in (*running.values(), *waiting):
            request.outlet.put(Failed(error))
