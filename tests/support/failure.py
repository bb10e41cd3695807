"""What a failed call tells its client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status


@dataclass(frozen=True)
class Failure:
    """A gRPC status with its google.rpc details.

    Attributes:
        reason: of the ErrorInfo, with the domain before it, as in "wizardtpud/QUEUE_FULL".
        fields: the fields that a BadRequest names.
        retry_seconds: of the RetryInfo.
    """

    code: grpc.StatusCode
    message: str
    reason: str | None = None
    fields: tuple[str, ...] = ()
    retry_seconds: float | None = None

    @classmethod
    def of(cls, error: grpc.RpcError) -> Failure:
        call: Any = error  # the errors of calls are calls themselves, which no type says
        info, bad, retry = (
            error_details_pb2.ErrorInfo(),
            error_details_pb2.BadRequest(),
            error_details_pb2.RetryInfo(),
        )
        has_info, has_bad, has_retry = _unpack(call, info, bad, retry)
        assert has_bad == bool(bad.field_violations)
        return cls(
            code=call.code(),
            message=call.details() or "",
            reason=f"{info.domain}/{info.reason}" if has_info else None,
            fields=tuple(violation.field for violation in bad.field_violations),
            retry_seconds=retry.retry_delay.ToNanoseconds() / 1e9 if has_retry else None,
        )


def _unpack(call: grpc.Call, *kinds: Message) -> list[bool]:
    """Fills in those messages of which the status has one; tells which."""
    status = rpc_status.from_call(call)
    details = list(status.details) if status else []
    return [any(detail.Unpack(kind) for detail in details) for kind in kinds]
