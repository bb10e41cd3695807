from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import given
from hypothesis import strategies as st
from wizardtpu.v1 import generation_pb2 as wire
from wizardtpud.errors import InvalidRequestError
from wizardtpud.rpc.malformed import MAX_REQUEST_BYTES, explain

MARK = "\ufdd0\ufdd1"  # three bytes each, which can be replaced without a change of lengths
BROKEN = [b"\xff\xfe\xfd\xfc\xfb\xfa", b"\xed\xa0\x80abc", b"\xf0\x9f\xa6\x8a\xf0\x9f", b"abcd\xc0\xaf"]

texts = st.text(max_size=20).filter(lambda text: MARK not in text)


def explained(raw: bytes, message: type[Message] = wire.GenerateRequest) -> InvalidRequestError:
    return explain(message.DESCRIPTOR, raw)  # type: ignore[arg-type]  # the stubs know two kinds of descriptors


def corrupted(message: Message, broken: bytes) -> bytes:
    raw = message.SerializeToString()
    assert raw.count(MARK.encode()) == 1
    return raw.replace(MARK.encode(), broken)


@st.composite
def marked_requests(draw: st.DrawFn) -> tuple[wire.GenerateRequest, str]:
    """A request with any content, and the path of the one string that holds the mark."""
    request = wire.GenerateRequest(
        sampling=wire.SamplingOptions(temperature=draw(st.floats(0, 1, width=32)), seed=draw(st.integers(0, 99))),
        stopping=wire.StoppingOptions(stop_sequences=draw(st.lists(texts, max_size=3))),
    )
    marked = draw(texts) + MARK + draw(texts)
    field = draw(st.sampled_from(["instruction", "prompt", "messages", "stop_sequences"]))
    if field == "stop_sequences":
        place = draw(st.integers(0, len(request.stopping.stop_sequences)))
        request.stopping.stop_sequences.insert(place, marked)
        return request, f"stopping.stop_sequences[{place}]"
    if field == "messages":
        contents = draw(st.lists(texts, max_size=3))
        place = draw(st.integers(0, len(contents)))
        contents.insert(place, marked)
        request.messages.messages.extend(wire.Message(role=wire.ROLE_USER, content=text) for text in contents)
        return request, f"messages.messages[{place}].content"
    setattr(request, field, marked)
    return request, field


@given(marked_requests(), st.sampled_from(BROKEN))
def test_the_string_that_is_not_utf8_is_named(marked: tuple[wire.GenerateRequest, str], broken: bytes) -> None:
    request, path = marked
    raw = corrupted(request, broken)
    with pytest.raises(DecodeError):
        wire.GenerateRequest.FromString(raw)

    error = explained(raw)

    assert (error.field, error.description) == (path, "is not valid UTF-8")


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (wire.TokenizeRequest(text=MARK), "text"),
        (
            wire.TokenizeRequest(
                messages=wire.Conversation(messages=[wire.Message(), wire.Message(content=MARK)])
            ),
            "messages.messages[1].content",
        ),
        (wire.DetokenizeResponse(text=MARK), "text"),
    ],
    ids=str,
)
def test_other_messages_too(message: Message, path: str) -> None:
    assert explained(corrupted(message, BROKEN[0]), type(message)).field == path


def test_the_first_of_several_is_named() -> None:
    request = wire.GenerateRequest(prompt=MARK, stopping=wire.StoppingOptions(stop_sequences=["a", MARK]))
    raw = request.SerializeToString().replace(MARK.encode(), BROKEN[0])

    assert explained(raw).field == "prompt"


def test_a_string_that_a_later_one_replaced_has_no_name() -> None:
    first, second = wire.GenerateRequest(prompt=MARK), wire.GenerateRequest(instruction="sort")

    assert explained(corrupted(first, BROKEN[0]) + second.SerializeToString()).field == "request"


@pytest.mark.parametrize("raw", [b"\xff\xff\xff", b"\x0a\x7fshort", b"\x0a"])
def test_what_is_no_message_at_all(raw: bytes) -> None:
    error = explained(raw)

    assert (error.field, error.description) == ("request", "is not a serialized wizardtpu.v1.GenerateRequest")


def test_too_many_bytes_are_not_looked_into() -> None:
    error = explained(b"\xff" * (MAX_REQUEST_BYTES + 1))

    assert error.field == "request"
    assert error.description == f"has {MAX_REQUEST_BYTES + 1} bytes, but may have at most {MAX_REQUEST_BYTES}"


@given(st.binary(max_size=200))
def test_any_bytes_are_explained_if_they_do_not_parse(raw: bytes) -> None:
    try:
        wire.GenerateRequest.FromString(raw)
    except DecodeError:
        assert explained(raw).description
