"""What is kept of every Generate call, whatever way it ends: one log line and its metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

from wizardtpud.errors import (
    DrainingError,
    GreedyOnlyError,
    InvalidRequestError,
    LoadingError,
    NotNumbersError,
    QueueFullError,
    SlowReaderError,
    StoppedError,
)
from wizardtpud.observability.logging import log
from wizardtpud.observability.metrics import Metrics
from wizardtpud.observability.outcome import Outcome
from wizardtpud.rpc.generation import Context, Generation

_OUTCOMES: dict[type[BaseException], Outcome] = {
    InvalidRequestError: Outcome.INVALID,
    GreedyOnlyError: Outcome.INVALID,
    QueueFullError: Outcome.QUEUE_FULL,
    LoadingError: Outcome.LOADING,
    DrainingError: Outcome.DRAINING,
    StoppedError: Outcome.STOPPED,
    SlowReaderError: Outcome.SLOW_READER,
}
# A client cancels when its deadline passes, a moment before it does here: it travels rounded up, by 1 % at most.
_DEADLINE_ROUNDING = 0.01
_DEADLINE_LATENCY = 0.1  # seconds
_REFUSED = {Outcome.INVALID, Outcome.QUEUE_FULL, Outcome.LOADING, Outcome.DRAINING}


@dataclass
class Entry:
    """A call; `generation` is set once its request is known to be sound, `outcome` once it's complete."""

    generation: Generation | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True)
class Journal:
    """Records calls when they end; prompts are in the log only if there is something to decode them with."""

    metrics: Metrics
    decode_prompt: Callable[[list[int]], str] | None = None

    @contextmanager
    def entry(self, context: Context) -> Iterator[Entry]:
        """Spans one call. Errors pass through."""
        entry = Entry()
        allowed = context.time_remaining()
        try:
            yield entry
        except BaseException as error:
            if isinstance(error, NotNumbersError):
                self.metrics.not_numbers()
            self._record(entry, _outcome_of(error, allowed, context.time_remaining()), str(error) or None)
            raise
        assert entry.outcome is not None
        self._record(entry, entry.outcome, None)

    def _record(self, entry: Entry, outcome: Outcome, error: str | None) -> None:
        if entry.generation is None or outcome in _REFUSED:
            self.metrics.request_refused(outcome)
            log.info("request refused", outcome=outcome, error=error)
            return
        request = entry.generation.request
        times = request.times
        times.ended = monotonic()
        self.metrics.request_ended(
            outcome,
            times,
            prompt_tokens=len(request.prompt) if times.admitted else 0,
            generated_tokens=request.generated_tokens,
        )
        log.info(
            "request ended",
            id=request.id,
            outcome=outcome,
            prompt_tokens=len(request.prompt),
            generated_tokens=request.generated_tokens,
            queue=times.queue,
            prefill=times.prefill,
            decode=times.decode,
            total=times.total,
            error=error,
            prompt=self.decode_prompt(request.prompt) if self.decode_prompt else None,
        )


def _outcome_of(error: BaseException, allowed: float | None, remaining: float | None) -> Outcome:
    """The outcome of a call that had `allowed` seconds and has `remaining` ones; None without a deadline."""
    if not isinstance(error, asyncio.CancelledError):
        return _OUTCOMES.get(type(error), Outcome.FAILED)
    if allowed is None or remaining is None:
        return Outcome.CANCELLED
    late = remaining <= _DEADLINE_LATENCY + _DEADLINE_ROUNDING * allowed
    return Outcome.DEADLINE_EXCEEDED if late else Outcome.CANCELLED
