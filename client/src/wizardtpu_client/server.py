"""What the daemon tells about its model and about itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum

from wizardtpu.v1 import generation_pb2 as wire


@dataclass(frozen=True)
class Tokens:
    """Token ids and, if asked for, the vocabulary's own spelling of each."""

    ids: tuple[int, ...]
    pieces: tuple[str, ...]


@dataclass(frozen=True)
class Model:
    """The resident model and the limits of a request.

    context_length: the most tokens a prompt and its answer may have together. sampling: whether
    temperature, penalties and log probabilities are available. chat_template: Jinja source.
    bundle_digest: sha256 of the bundle's manifest, hexadecimal.
    """

    name: str
    architecture: str
    quantization: str
    target: str
    context_length: int
    vocabulary_size: int
    sampling: bool
    chat_template: str
    bundle_digest: str


class ServingState(str, Enum):
    """Whether the daemon takes requests."""

    LOADING = "loading"
    SERVING = "serving"
    DRAINING = "draining"
    UNKNOWN = "unknown"
    """A state that this version of the client has no name for."""


@dataclass(frozen=True)
class Status:
    """What the daemon is doing now; the last two count since started_at (UTC, None if not told)."""

    state: ServingState
    version: str
    started_at: datetime | None
    queue_depth: int
    queue_capacity: int
    running: int
    slots: int
    finished_requests: int
    generated_tokens: int


_STATES = {
    wire.SERVING_STATE_LOADING: ServingState.LOADING,
    wire.SERVING_STATE_SERVING: ServingState.SERVING,
    wire.SERVING_STATE_DRAINING: ServingState.DRAINING,
}


def tokens_of(response: wire.TokenizeResponse) -> Tokens:
    return Tokens(tuple(response.token_ids), tuple(response.pieces))


def model_of(response: wire.GetModelResponse) -> Model:
    return Model(
        name=response.name,
        architecture=response.architecture,
        quantization=response.quantization,
        target=response.target,
        context_length=response.context_length,
        vocabulary_size=response.vocabulary_size,
        sampling=response.sampling,
        chat_template=response.chat_template,
        bundle_digest=response.bundle_digest,
    )


def status_of(response: wire.GetStatusResponse) -> Status:
    started_at = response.started_at.ToDatetime(timezone.utc) if response.HasField("started_at") else None
    return Status(
        state=_STATES.get(response.state, ServingState.UNKNOWN),
        version=response.version,
        started_at=started_at,
        queue_depth=response.queue_depth,
        queue_capacity=response.queue_capacity,
        running=response.running,
        slots=response.slots,
        finished_requests=response.finished_requests,
        generated_tokens=response.generated_tokens,
    )
