"""What is kept of every Generate call, whatever way it ends: one log line and its metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

from wizardtpud.errors import (
    DrainingError,
    InvalidRequestError,
    LoadingError,
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
    QueueFullError: Outcome.QUEUE_FULL,
    LoadingError: Outcome.LOADING,
    DrainingError: Outcome.DRAINING,
    StoppedError: Outcome.STOPPED,
    SlowReaderError: Outcome.SLOW_READER,
}
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
        try:
            yield entry
        except BaseException as error:
            self._record(entry, _outcome_of(error, context), str(error))
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


def _outcome_of(error: BaseException, context: Context) -> Outcome:
    if isinstance(error, asyncio.CancelledError):
        remaining = context.time_remaining()
        return Outcome.DEADLINE_EXCEEDED if remaining is not None and remaining <= 0 else Outcome.CANCELLED
    return _OUTCOMES.get(type(error), Outcome.FAILED)
