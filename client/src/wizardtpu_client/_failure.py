"""The one place where a gRPC error becomes one of the library's own."""

from __future__ import annotations

from typing import Any

import grpc
from grpc import StatusCode

from wizardtpu_client._details import details_of
from wizardtpu_client.errors import (
    Busy,
    Cancelled,
    ConnectionFailed,
    DeadlineExceeded,
    InvalidRequest,
    Loading,
    QueueFull,
    ServerError,
    ShuttingDown,
    SlowReader,
    Unsupported,
    WizardTPUError,
)

CANCELLED = "the call was cancelled"

_BY_REASON: dict[str, type[WizardTPUError]] = {
    "QUEUE_FULL": QueueFull,
    "LOADING": Loading,
    "DRAINING": ShuttingDown,
    "STOPPED": ShuttingDown,
    "SLOW_READER": SlowReader,
}
_BY_CODE: dict[StatusCode, type[WizardTPUError]] = {
    StatusCode.INVALID_ARGUMENT: InvalidRequest,
    StatusCode.FAILED_PRECONDITION: Unsupported,
    StatusCode.UNIMPLEMENTED: Unsupported,
    StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    StatusCode.CANCELLED: Cancelled,
}


def failure_of(error: grpc.RpcError, address: str) -> WizardTPUError:
    """The typed error for what gRPC raised, with the gRPC error as its cause."""
    code = error.code()
    details = details_of(error.trailing_metadata())
    kind = _kind(code, details.reason)
    extra: dict[str, Any] = {}
    if issubclass(kind, InvalidRequest):
        extra["violations"] = details.violations
    if issubclass(kind, Busy):
        extra["retry_after"] = details.retry_after
    message = _message(kind, error.details() or code.name, details.reason, address)
    failure = kind(message, code=code, reason=details.reason, **extra)
    failure.__cause__ = error
    return failure


def _kind(code: StatusCode, reason: str | None) -> type[WizardTPUError]:
    if reason in _BY_REASON:
        return _BY_REASON[reason]
    # Without a reason it was gRPC that spoke, not wizardtpud.
    if code is StatusCode.UNAVAILABLE:
        return Busy if reason else ConnectionFailed
    if code is StatusCode.RESOURCE_EXHAUSTED and reason is None:  # a message that is too large
        return InvalidRequest
    return _BY_CODE.get(code, ServerError)


def _message(kind: type[WizardTPUError], details: str, reason: str | None, address: str) -> str:
    if kind is ConnectionFailed:
        # gRPC names every layer in turn; only the last one says something to a person.
        return f"no connection to wizardtpud at {address}: {details.rpartition(': ')[2].rstrip(']')}"
    if reason is not None:
        return details
    if kind is DeadlineExceeded:
        return f"no complete answer from wizardtpud at {address} within the timeout"
    if kind is Cancelled:
        return CANCELLED
    if kind is InvalidRequest:
        return f"gRPC cannot carry this: {details}"
    return details
