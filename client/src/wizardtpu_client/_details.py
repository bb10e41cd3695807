"""Reads the details that wizardtpud sends with an error: google.rpc.Status in a trailer.

The few messages are declared here, in a descriptor pool of their own, so that googleapis-common-protos is
neither needed nor disturbed. Only field numbers and types matter on the wire; the source of both is
google/rpc/status.proto and google/rpc/error_details.proto.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from wizardtpu_client.errors import FieldViolation

TRAILER = "grpc-status-details-bin"
DOMAIN = "wizardtpud"

_PACKAGE = "wizardtpu_client.details"
_SCALARS = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "int64": FieldDescriptorProto.TYPE_INT64,
}
# Message -> (field, number, type), a trailing * meaning repeated.
_MESSAGES: dict[str, tuple[tuple[str, int, str], ...]] = {
    "Any": (("type_url", 1, "string"), ("value", 2, "bytes")),
    "Status": (("code", 1, "int32"), ("message", 2, "string"), ("details", 3, "Any*")),
    "ErrorInfo": (("reason", 1, "string"), ("domain", 2, "string")),
    "FieldViolation": (("field", 1, "string"), ("description", 2, "string")),
    "BadRequest": (("field_violations", 1, "FieldViolation*"),),
    "Duration": (("seconds", 1, "int64"), ("nanos", 2, "int32")),
    "RetryInfo": (("retry_delay", 1, "Duration"),),
}


@dataclass
class Details:
    """What an error says besides its code and message; retry_after is in seconds."""

    reason: str | None = None
    violations: tuple[FieldViolation, ...] = ()
    retry_after: float | None = None


def details_of(metadata: Iterable[Any] | None) -> Details:
    """The details in a call's trailing metadata; empty if there are none or they are damaged."""
    details = Details()
    for key, value in metadata or ():
        if key == TRAILER and isinstance(value, bytes):
            try:
                _read(value, details)
            except DecodeError:
                continue
    return details


def _read(status: bytes, into: Details) -> None:
    for detail in _parse("Status", status).details:
        match detail.type_url.rpartition("/")[2]:
            case "google.rpc.ErrorInfo":
                info = _parse("ErrorInfo", detail.value)
                into.reason = info.reason if info.domain == DOMAIN else into.reason
            case "google.rpc.BadRequest":
                found = _parse("BadRequest", detail.value).field_violations
                into.violations = tuple(FieldViolation(each.field, each.description) for each in found)
            case "google.rpc.RetryInfo":
                delay = _parse("RetryInfo", detail.value).retry_delay
                into.retry_after = delay.seconds + delay.nanos / 1e9


def _field(name: str, number: int, kind: str) -> FieldDescriptorProto:
    message = kind.removesuffix("*")
    repeated = message != kind
    return FieldDescriptorProto(
        name=name,
        number=number,
        label=FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL,
        type=_SCALARS.get(message, FieldDescriptorProto.TYPE_MESSAGE),
        type_name=None if message in _SCALARS else f".{_PACKAGE}.{message}",
    )


def _pool() -> DescriptorPool:
    file = FileDescriptorProto(name="wizardtpu_client/details.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        file.message_type.add(name=name, field=[_field(*field) for field in fields])
    pool = DescriptorPool()
    pool.Add(file)
    return pool


_POOL = _pool()


def _parse(message: str, data: bytes) -> Any:
    descriptor = _POOL.FindMessageTypeByName(f"{_PACKAGE}.{message}")
    return GetMessageClass(descriptor).FromString(data)
