"""What a stream brings: plain values made from the messages of the wire. All durations are in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from grpc import StatusCode
from wizardtpu.v1 import generation_pb2 as wire

from wizardtpu_client.errors import ServerError


@dataclass(frozen=True)
class Queued:
    """The request waits; position 1 is the next to start."""

    position: int
    estimated_wait: float | None
    request_id: str


@dataclass(frozen=True)
class Started:
    """The request has the device. reused_tokens of the prompt's tokens were found in the KV cache."""

    prompt_tokens: int
    reused_tokens: int
    seed: int


@dataclass(frozen=True)
class Alternative:
    """A token that could have stood in a place."""

    id: int
    logprob: float


@dataclass(frozen=True)
class Token:
    """One generated token; logprob and alternatives only if they were asked for."""

    id: int
    logprob: float | None
    alternatives: tuple[Alternative, ...]


@dataclass(frozen=True)
class Delta:
    """More of the answer; tokens only if they were asked for."""

    text: str
    tokens: tuple[Token, ...]


class FinishReason(str, Enum):
    """Why generation ended."""

    END_OF_TEXT = "end_of_text"
    STOP_SEQUENCE = "stop_sequence"
    MAX_TOKENS = "max_tokens"
    CONTEXT_FULL = "context_full"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    """A reason that this version of the client has no name for."""


@dataclass(frozen=True)
class Usage:
    """Counts of tokens; generated_tokens includes the end-of-text token."""

    prompt_tokens: int
    reused_tokens: int
    generated_tokens: int


@dataclass(frozen=True)
class Timings:
    """Seconds: waiting, until the first token was chosen, from the first token to the last.

    time_to_first_token counts from the request's arrival.
    """

    queue: float
    prefill: float
    decode: float
    time_to_first_token: float


@dataclass(frozen=True)
class Finished:
    """The last event. stop_sequence is the one that ended generation, empty if none did."""

    reason: FinishReason
    usage: Usage
    seed: int
    timings: Timings
    stop_sequence: str


Event = Queued | Started | Delta | Finished

_REASONS = {
    wire.FINISH_REASON_END_OF_TEXT: FinishReason.END_OF_TEXT,
    wire.FINISH_REASON_STOP_SEQUENCE: FinishReason.STOP_SEQUENCE,
    wire.FINISH_REASON_MAX_TOKENS: FinishReason.MAX_TOKENS,
    wire.FINISH_REASON_CONTEXT_FULL: FinishReason.CONTEXT_FULL,
    wire.FINISH_REASON_CANCELLED: FinishReason.CANCELLED,
}


def event_of(message: wire.GenerateResponse) -> Event:
    """The event in a message. Raises ServerError if it holds none that this client knows."""
    match message.WhichOneof("event"):
        case "delta":
            return _delta(message.delta)
        case "queued":
            return _queued(message.queued)
        case "started":
            started = message.started
            return Started(started.prompt_tokens, started.reused_tokens, started.seed)
        case "finished":
            return _finished(message.finished)
    raise ServerError(
        "wizardtpud sent an event that this client does not know: update the client",
        code=StatusCode.UNIMPLEMENTED,
    )


def _queued(queued: wire.Queued) -> Queued:
    wait = queued.estimated_wait.ToNanoseconds() / 1e9 if queued.HasField("estimated_wait") else None
    return Queued(queued.position, wait, queued.request_id)


def _delta(delta: wire.Delta) -> Delta:
    return Delta(delta.text, tuple(map(_token, delta.tokens)))


def _token(token: wire.Token) -> Token:
    alternatives = tuple(Alternative(each.id, each.logprob) for each in token.alternatives)
    return Token(token.id, token.logprob if token.HasField("logprob") else None, alternatives)


def _finished(finished: wire.Finished) -> Finished:
    usage, timings = finished.usage, finished.timings
    return Finished(
        reason=_REASONS.get(finished.reason, FinishReason.UNKNOWN),
        usage=Usage(usage.prompt_tokens, usage.reused_tokens, usage.generated_tokens),
        seed=finished.seed,
        timings=Timings(
            queue=timings.queue.ToNanoseconds() / 1e9,
            prefill=timings.prefill.ToNanoseconds() / 1e9,
            decode=timings.decode.ToNanoseconds() / 1e9,
            time_to_first_token=timings.time_to_first_token.ToNanoseconds() / 1e9,
        ),
        stop_sequence=finished.stop_sequence,
    )
