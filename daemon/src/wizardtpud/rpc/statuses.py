"""The one place where the daemon's errors become gRPC statuses with google.rpc details."""

from __future__ import annotations

from dataclasses import dataclass

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from wizardtpud.errors import (
    DeviceError,
    DeviceHungError,
    DrainingError,
    GreedyOnlyError,
    InvalidRequestError,
    LoadingError,
    NotNumbersError,
    QueueFullError,
    RetryableError,
    SlowReaderError,
    StoppedError,
    WizardtpudError,
)

ERROR_DOMAIN = "wizardtpud"
DETAILS_KEY = "grpc-status-details-bin"  # where gRPC's richer error model keeps a serialized google.rpc.Status


@dataclass(frozen=True)
class _Kind:
    code: grpc.StatusCode
    reason: str


_KINDS: dict[type[WizardtpudError], _Kind] = {
    InvalidRequestError: _Kind(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
    GreedyOnlyError: _Kind(grpc.StatusCode.FAILED_PRECONDITION, "GREEDY_ONLY"),
    QueueFullError: _Kind(grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL"),
    LoadingError: _Kind(grpc.StatusCode.UNAVAILABLE, "LOADING"),
    DrainingError: _Kind(grpc.StatusCode.UNAVAILABLE, "DRAINING"),
    StoppedError: _Kind(grpc.StatusCode.UNAVAILABLE, "STOPPED"),
    DeviceHungError: _Kind(grpc.StatusCode.UNAVAILABLE, "DEVICE_HUNG"),
    SlowReaderError: _Kind(grpc.StatusCode.ABORTED, "SLOW_READER"),
    NotNumbersError: _Kind(grpc.StatusCode.DATA_LOSS, "NOT_NUMBERS"),
    DeviceError: _Kind(grpc.StatusCode.INTERNAL, "DEVICE_FAILURE"),
}
_UNKNOWN = _Kind(grpc.StatusCode.INTERNAL, "INTERNAL")


@dataclass(frozen=True)
class Status:
    """What `abort` of a servicer context takes."""

    code: grpc.StatusCode
    message: str
    trailing_metadata: tuple[tuple[str, bytes], ...]


def status_of(error: WizardtpudError) -> Status:
    """The status a client sees for an error."""
    kind = next((kind for known, kind in _KINDS.items() if isinstance(error, known)), _UNKNOWN)
    details: list[Message] = [error_details_pb2.ErrorInfo(domain=ERROR_DOMAIN, reason=kind.reason)]
    if isinstance(error, InvalidRequestError):
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.field, description=error.description)
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if isinstance(error, RetryableError):
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(int(error.retry_after * 1e9))
        details.append(retry)
    return _status(kind.code, str(error), details)


def _status(code: grpc.StatusCode, message: str, details: list[Message]) -> Status:
    rich = status_pb2.Status(code=code.value[0], message=message)
    for detail in details:
        packed = Any()
        packed.Pack(detail)
        rich.details.append(packed)
    return Status(code, message, ((DETAILS_KEY, rich.SerializeToString()),))
