"""Finding what is wrong with a message that is too large or that protobuf refuses to parse."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from wizardtpud.errors import InvalidRequestError

MAX_REQUEST_BYTES = 1 << 20  # a context of 8192 tokens is some 30 KB of text

_STRING = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
_BYTES = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES


def explain(message: Descriptor, raw: bytes) -> InvalidRequestError:
    """Why `raw` is not a valid `message`: too large, a string field that is not UTF-8, or no message at all."""
    if len(raw) > MAX_REQUEST_BYTES:
        return InvalidRequestError("request", f"has {len(raw)} bytes, but may have at most {MAX_REQUEST_BYTES}")
    try:
        lenient = _lenient_class(message).FromString(raw)
    except DecodeError:
        return InvalidRequestError("request", f"is not a serialized {message.full_name}")
    field = next(_not_utf8(lenient), "request")
    return InvalidRequestError(field, "is not valid UTF-8")


@cache
def _lenient_class(message: Descriptor) -> type[Message]:
    """The same message with bytes where it has strings: same on the wire, but any content parses."""
    pool = descriptor_pool.DescriptorPool()
    _add_lenient_file(pool, message.file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(message.full_name))


def _add_lenient_file(pool: descriptor_pool.DescriptorPool, file: object) -> None:
    lenient = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(lenient)  # type: ignore[attr-defined]
    for dependency in file.dependencies:  # type: ignore[attr-defined]
        _add_lenient_file(pool, dependency)
    for message in lenient.message_type:
        for field in message.field:
            if field.type == _STRING:
                field.type = _BYTES
    pool.Add(lenient)


def _not_utf8(message: Message, path: str = "") -> Iterator[str]:
    for field, value in message.ListFields():
        values = list(value) if field.is_repeated else [value]
        for index, one in enumerate(values):
            name = f"{path}{field.name}" + (f"[{index}]" if field.is_repeated else "")
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                yield from _not_utf8(one, f"{name}.")
            elif field.type == FieldDescriptor.TYPE_BYTES and not _is_utf8(one):
                yield name


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
