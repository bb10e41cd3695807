"""What the daemon tells about its model and about itself."""

from __future__ import annotations

from dataclasses import dataclass, fields
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
class DeviceStatus:
    """What a device that runs the model says of itself; what it does not say is None.

    source: what was asked first: the driver's files, "pcie" for a card or "soc", or the vendor's "library".
    utilization: share of its time in which the TPU worked lately, 0 to 1. Memory is in bytes, temperatures
    in degrees Celsius, power in watts, the clock in hertz; those of the board are of all its chips.
    fault: whether the device is not to be trusted any more.
    """

    device: int
    source: str | None
    utilization: float | None
    memory_used: int | None
    memory_total: int | None
    chip_temperature: float | None
    board_temperature: float | None
    tpu_power: float | None
    board_power: float | None
    tpu_clock: float | None
    fault: bool | None
    driver_version: str | None
    library_version: str | None


@dataclass(frozen=True)
class Status:
    """What the daemon is doing now.

    finished_requests, generated_tokens: since started_at (UTC, None if not told). devices: what runs the
    model; none where that is the CPU.
    """

    state: ServingState
    version: str
    started_at: datetime | None
    queue_depth: int
    queue_capacity: int
    running: int
    slots: int
    finished_requests: int
    generated_tokens: int
    devices: tuple[DeviceStatus, ...] = ()


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
        devices=tuple(map(_device_of, response.devices)),
    )


def _device_of(message: wire.DeviceStatus) -> DeviceStatus:
    """The message, whose fields have the same names; None where it is unset."""
    told = {field.name: value for field, value in message.ListFields()}
    others = [field.name for field in fields(DeviceStatus) if field.name != "device"]
    return DeviceStatus(message.device, **{name: told.get(name) for name in others})
