"""Requests: from keyword arguments to the messages of the wire.

Only what cannot be put on the wire is refused here; limits and ranges are the daemon's to judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from google.protobuf.message import Message as WireMessage
from wizardtpu.v1 import generation_pb2 as wire

from wizardtpu_client.errors import FieldViolation, InvalidRequest

_ROLES = {"system": wire.ROLE_SYSTEM, "user": wire.ROLE_USER, "assistant": wire.ROLE_ASSISTANT}


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


def tokenize_request(
    text: str | None, instruction: str | None, messages: Sequence[Message] | None, pieces: bool
) -> wire.TokenizeRequest:
    request = wire.TokenizeRequest(with_pieces=pieces)
    set_input(request, text=text, instruction=instruction, messages=messages)
    return request


def detokenize_request(token_ids: Sequence[int]) -> wire.DetokenizeRequest:
    request = wire.DetokenizeRequest()
    set_fields(request, "", {"token_ids": token_ids})
    return request


def set_input(
    request: wire.GenerateRequest | wire.TokenizeRequest,
    *,
    messages: Sequence[Message] | None = None,
    token_ids: Sequence[int] | None = None,
    **texts: str | None,
) -> None:
    """Fills the request's `input`. Raises TypeError unless exactly one of the arguments is given."""
    inputs = {**texts, "messages": messages, "token_ids": token_ids}
    given = [name for name, value in inputs.items() if value is not None]
    if len(given) != 1:
        names = ", ".join(name for name in inputs if name in request.DESCRIPTOR.fields_by_name)
        raise TypeError(f"give exactly one of {names}; given: {', '.join(given) or 'none'}")
    set_fields(request, "", texts)
    if messages is not None:
        request.messages.SetInParent()
        request.messages.messages.extend(_turn(f"messages.messages[{i}]", turn) for i, turn in enumerate(messages))
    if token_ids is not None and isinstance(request, wire.GenerateRequest):
        request.token_ids.SetInParent()
        set_fields(request.token_ids, "token_ids", {"ids": token_ids})


def set_fields(message: WireMessage, path: str, values: Mapping[str, object]) -> None:
    """Sets the fields whose value is not None.

    Raises InvalidRequest for a value that does not fit the field, TypeError for one of the wrong type;
    both name the field as `path` and its name.
    """
    for name, value in values.items():
        if value is not None:
            _set(message, name, value, f"{path}.{name}" if path else name)


def _set(message: WireMessage, name: str, value: object, path: str) -> None:
    try:
        if isinstance(value, Sequence) and not isinstance(value, str):
            getattr(message, name).extend(value)
        else:
            setattr(message, name, value)
    except UnicodeError:
        raise _invalid(path, "not valid Unicode text") from None
    except ValueError as error:
        raise _invalid(path, str(error)) from None
    except TypeError as error:
        raise TypeError(f"{path}: {error}") from None


def _turn(path: str, turn: Message) -> wire.Message:
    if turn.role not in _ROLES:
        raise _invalid(f"{path}.role", f"{turn.role!r} is none of {', '.join(_ROLES)}")
    message = wire.Message(role=_ROLES[turn.role])
    set_fields(message, path, {"content": turn.content})
    return message


def _invalid(field: str, description: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: {description}", violations=(FieldViolation(field, description),))
