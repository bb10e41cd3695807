"""The decode loop: admits requests to an engine, steps it, and hands on what it yields."""

from __future__ import annotations

from wizardtpud.engine.engine import Engine, Progress
from wizardtpud.engine.sequence import FinishReason, Sequence
from wizardtpud.errors import DeviceError, WizardtpudError
from wizardtpud.observability.logging import log
from wizardtpud.scheduling.device_watch import DeviceWatch
from wizardtpud.scheduling.events import Failed, Started
from wizardtpud.scheduling.request import Request
from wizardtpud.scheduling.scheduler import Scheduler

_MOST_SPOILT = 3
_LOOK_SECONDS = 1.0  # between two looks at the telemetry of an engine that has nothing to do


class DecodeLoop:
    """Runs the requests of one engine, in the thread that owns it."""

    def __init__(self, engine: Engine, scheduler: Scheduler, watch: DeviceWatch) -> None:
        self._engine = engine
        self._scheduler = scheduler
        self._watch = watch
        self._running: dict[Sequence, Request] = {}
        self._spoilt = 0  # requests in a row whose logits were not numbers
        scheduler.join(engine)

    def run(self) -> None:
        """Serves until the scheduler is drained or stopped.

        Raises:
            DeviceError: the device failed, or gives nothing but nonsense. Every request, also those of other
                loops, has been told so.
        """
        try:
            idle = _LOOK_SECONDS if self._engine.telemetry else None
            while self._scheduler.wait_for_work(self._engine, idle):
                with self._watch.step():
                    self.turn()
        except Exception as error:  # nobody else would tell the waiting clients
            known = error if isinstance(error, WizardtpudError) else WizardtpudError("the decode loop failed")
            self._scheduler.fail(known)
            raise
        finally:
            for sequence in list(self._running):
                self._release(sequence)

    def turn(self) -> None:
        """One step of the engine, with what is due before and after it."""
        self.look_after_devices()
        self._drop_cancelled()
        self._admit()
        for progress in self._engine.step():
            if progress.error is None:
                self._advance(progress)
            else:
                self._give_up(progress.sequence, progress.error)

    def look_after_devices(self) -> None:
        """Has their libraries asked, which this thread alone may do.

        Raises:
            DeviceError: one of them reports a fault.
        """
        for telemetry in self._engine.telemetry:
            telemetry.refresh()
            if telemetry.fault:
                device = telemetry.read().device
                raise DeviceError(f"device {device} reports a fault: its answers cannot be trusted any more")

    def _drop_cancelled(self) -> None:
        for sequence, request in list(self._running.items()):
            if request.cancelled:
                if sequence.prefilling:  # nobody has looked whether what was read gave numbers
                    self._engine.discard(sequence)
                self._release(sequence)

    def _admit(self) -> None:
        with self._scheduler.lock:
            while (request := self._scheduler.next_for(self._engine)) is not None:
                self._start(request)

    def _start(self, request: Request) -> None:
        sequence = self._engine.admit(request.prompt, request.sampling, request.max_new_tokens)
        request.reused_tokens = sequence.reused_tokens
        self._running[sequence] = request
        self._scheduler.started(request)  # had admission failed, it would wait there to be told
        request.outlet.put(Started(len(request.prompt), sequence.reused_tokens))

    def _advance(self, progress: Progress) -> None:
        sequence, request = progress.sequence, self._running[progress.sequence]
        # Whoever cancels a request reads its counts then: nothing may be added any more.
        with self._scheduler.lock:
            if request.cancelled or not progress.tokens:
                return
            before = request.generated_tokens
            text = request.take(progress.tokens)
            self._scheduler.generated_tokens += request.generated_tokens - before
            reason = sequence.finish if request.transcript.stopped_by is None else FinishReason.STOP_SEQUENCE
            if reason is not None:
                self._spoilt = 0
                self._release(sequence)
                request.finish(reason, text)
            elif text and not request.send(text):
                self._release(sequence)

    def _give_up(self, sequence: Sequence, error: WizardtpudError) -> None:
        """Ends one request because of an error of its own."""
        request = self._running[sequence]
        log.warning("a request failed", id=request.id, error=error)
        self._engine.discard(sequence)
        with self._scheduler.lock:
            self._release(sequence)
            if not request.cancelled:
                request.outlet.put(Failed(error))
        self._spoilt += 1
        if self._spoilt == _MOST_SPOILT:
            raise DeviceError(
                f"{_MOST_SPOILT} requests in a row failed, the device or its memory may be broken: {error}"
            )

    def _release(self, sequence: Sequence) -> None:
        self._engine.release(sequence)
        self._scheduler.ended(self._running.pop(sequence))
