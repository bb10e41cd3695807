"""What can never be served is refused before the queue, with the field named, whatever it is."""

from __future__ import annotations

import math
import socket
from contextlib import suppress
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wizardtpu.v1 import generation_pb2 as wire

from tests.support.conversation import ask, asking
from tests.support.daemon_process import DaemonProcess
from tests.support.eventually import PATIENCE
from tests.support.failure import Failure

SERVICE = "wizardtpu.v1.GenerationService"
CONTEXT = 512
GENERATE = wire.GenerateRequest
USER = wire.ROLE_USER


def _messages(*turns: tuple[int, str]) -> wire.Conversation:
    return wire.Conversation(messages=[wire.Message(role=role, content=text) for role, text in turns])  # type: ignore[arg-type]


def _with(**options: Message) -> wire.GenerateRequest:
    return wire.GenerateRequest(instruction="write quicksort", **options)  # type: ignore[arg-type]


def _sampling(**values: float) -> wire.GenerateRequest:
    return _with(sampling=wire.SamplingOptions(**values))  # type: ignore[arg-type]


def _stopping(*sequences: str, **values: int) -> wire.GenerateRequest:
    return _with(stopping=wire.StoppingOptions(stop_sequences=sequences, **values))  # type: ignore[arg-type]


def _response(**values: Any) -> wire.GenerateRequest:
    return _with(response=wire.ResponseOptions(**values))


REFUSED: dict[str, tuple[wire.GenerateRequest, str]] = {
    "no input": (GENERATE(), "input"),
    "no input but options": (GENERATE(sampling=wire.SamplingOptions(temperature=1)), "input"),
    "empty instruction": (GENERATE(instruction=""), "instruction"),
    "blank instruction": (GENERATE(instruction=" \n\t\u00a0"), "instruction"),
    "empty prompt": (GENERATE(prompt=""), "prompt"),
    "too long instruction": (GENERATE(instruction="sort " * CONTEXT), "instruction"),
    "too long prompt": (GENERATE(prompt="sort " * CONTEXT), "prompt"),
    "half a megabyte": (GENERATE(prompt="\u20ac" * 170_000), "prompt"),
    "too long conversation": (GENERATE(messages=_messages((USER, "sort " * CONTEXT))), "messages"),
    "no messages": (GENERATE(messages=wire.Conversation()), "messages.messages"),
    "last message not the user's": (
        GENERATE(messages=_messages((USER, "a"), (wire.ROLE_ASSISTANT, "b"))),
        "messages.messages",
    ),
    "message without role": (GENERATE(messages=_messages((0, "a"))), "messages.messages[0].role"),
    "message of unknown role": (GENERATE(messages=_messages((USER, "a"), (7, "b"))), "messages.messages[1].role"),
    "message of negative role": (GENERATE(messages=_messages((-1, "a"))), "messages.messages[0].role"),
    "empty message": (GENERATE(messages=_messages((USER, ""))), "messages.messages[0].content"),
    "no token ids": (GENERATE(token_ids=wire.TokenIds()), "token_ids"),
    "too many token ids": (GENERATE(token_ids=wire.TokenIds(ids=[5] * CONTEXT)), "token_ids"),
    "token id beyond the vocabulary": (
        GENERATE(token_ids=wire.TokenIds(ids=[5, 2**31])),
        "token_ids.ids[1]",
    ),
    "largest token id": (GENERATE(token_ids=wire.TokenIds(ids=[2**32 - 1])), "token_ids.ids[0]"),
    "temperature NaN": (_sampling(temperature=math.nan), "sampling.temperature"),
    "temperature infinite": (_sampling(temperature=math.inf), "sampling.temperature"),
    "temperature negative": (_sampling(temperature=-0.1), "sampling.temperature"),
    "temperature too high": (_sampling(temperature=10.1), "sampling.temperature"),
    "top_p NaN": (_sampling(top_p=math.nan), "sampling.top_p"),
    "top_p zero": (_sampling(top_p=0), "sampling.top_p"),
    "top_p negative": (_sampling(top_p=-1), "sampling.top_p"),
    "top_p above one": (_sampling(top_p=1.01), "sampling.top_p"),
    "penalty NaN": (_sampling(repetition_penalty=math.nan), "sampling.repetition_penalty"),
    "penalty zero": (_sampling(repetition_penalty=0), "sampling.repetition_penalty"),
    "penalty infinite": (_sampling(repetition_penalty=math.inf), "sampling.repetition_penalty"),
    "penalty too high": (_sampling(repetition_penalty=11), "sampling.repetition_penalty"),
    "no room for a token": (_stopping(max_new_tokens=0), "stopping.max_new_tokens"),
    "17 stop sequences": (_stopping(*map(str, range(17))), "stopping.stop_sequences"),
    "hundreds of stop sequences": (_stopping(*map(str, range(500))), "stopping.stop_sequences"),
    "empty stop sequence": (_stopping("a", ""), "stopping.stop_sequences[1]"),
    "too long stop sequence": (_stopping("a" * 257), "stopping.stop_sequences[0]"),
    "alternatives without log probabilities": (_response(top_logprobs=1), "response.top_logprobs"),
    "21 alternatives": (_response(logprobs=True, top_logprobs=21), "response.top_logprobs"),
    "billions of alternatives": (_response(logprobs=True, top_logprobs=2**32 - 1), "response.top_logprobs"),
}


def _failure(call: Any) -> Failure:
    with pytest.raises(grpc.RpcError) as caught:
        for _ in call:
            pass
    return Failure.of(caught.value)


def _assert_refused(failure: Failure, field: str) -> None:
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT, failure
    assert failure.reason == "wizardtpud/INVALID_REQUEST"
    assert failure.fields == (field,)
    assert failure.message.startswith(f"{field}: ")
    assert len(failure.message) < 300, "nobody wants to read their own megabyte back"


@pytest.mark.parametrize("case", REFUSED)
def test_refused(daemon: DaemonProcess, case: str) -> None:
    request, field = REFUSED[case]
    before = daemon.status()
    _assert_refused(_failure(daemon.stub.Generate(request, timeout=PATIENCE)), field)
    after = daemon.status()
    assert after.finished_requests == before.finished_requests, "it was in the queue"


BORDERLINE = {
    "hottest": _sampling(temperature=10, top_p=1, top_k=2**32 - 1, repetition_penalty=10, repetition_window=0),
    "coldest": _sampling(temperature=1e-30, top_p=1e-30, top_k=1, repetition_penalty=1e-30, seed=2**64 - 1),
    "widest window": _sampling(repetition_penalty=1.1, repetition_window=2**32 - 1),
    "16 longest stop sequences": _stopping(*(letter * 256 for letter in "abcdefghijklmnop")),
    "20 alternatives": _response(logprobs=True, top_logprobs=20),
    "more tokens than there is room for": _stopping(max_new_tokens=2**32 - 1),
    "longest prompt": GENERATE(token_ids=wire.TokenIds(ids=[5] * (CONTEXT - 1))),
    "special token": GENERATE(prompt="<|endoftext|>"),
}


@pytest.mark.parametrize("case", BORDERLINE)
def test_just_allowed(daemon: DaemonProcess, case: str) -> None:
    request = wire.GenerateRequest()
    request.CopyFrom(BORDERLINE[case])
    if not request.stopping.HasField("max_new_tokens"):
        request.stopping.max_new_tokens = 4
    assert ask(daemon.stub, request).usage.generated_tokens > 0


def _raw(daemon: DaemonProcess, method: str, message: bytes) -> Failure | None:
    """Sends bytes as they are. Returns the failure, if it is one."""
    try:
        for _ in daemon.channel().unary_stream(f"/{SERVICE}/{method}", bytes, bytes)(message, timeout=PATIENCE):
            pass
    except grpc.RpcError as error:
        return Failure.of(error)
    return None


def _mangled(message: Message) -> bytes:
    """The message with each @ in it as a byte that no UTF-8 has."""
    return message.SerializeToString().replace(b"@", b"\xff")


@pytest.mark.parametrize(
    ("method", "message", "field"),
    [
        ("Generate", GENERATE(instruction="a@b"), "instruction"),
        ("Generate", GENERATE(prompt="@"), "prompt"),
        ("Generate", GENERATE(messages=_messages((USER, "a"), (USER, "@"))), "messages.messages[1].content"),
        ("Generate", _stopping("a", "b", "c@"), "stopping.stop_sequences[2]"),
        ("Tokenize", wire.TokenizeRequest(text="@"), "text"),
        ("Tokenize", wire.TokenizeRequest(instruction="@"), "instruction"),
    ],
)
def test_invalid_utf8(daemon: DaemonProcess, method: str, message: Message, field: str) -> None:
    failure = _raw(daemon, method, _mangled(message))
    assert failure is not None
    _assert_refused(failure, field)
    assert "UTF-8" in failure.message


@pytest.mark.parametrize("method", ["Generate", "Tokenize", "Detokenize", "GetModel", "GetStatus"])
@pytest.mark.parametrize("garbage", [b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 9])
def test_garbage(daemon: DaemonProcess, method: str, garbage: bytes) -> None:
    failure = _raw(daemon, method, garbage)
    assert failure is not None
    _assert_refused(failure, "request")


@pytest.mark.parametrize("size", [1 << 20, 8 << 20])
def test_huge_message(daemon: DaemonProcess, size: int) -> None:
    failure = _failure(daemon.stub.Generate(GENERATE(prompt="a" * size), timeout=PATIENCE))
    _assert_refused(failure, "request")


def test_message_that_grpc_itself_refuses(daemon: DaemonProcess) -> None:
    failure = _failure(daemon.stub.Generate(GENERATE(prompt="a" * (17 << 20)), timeout=PATIENCE))
    assert failure.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert ask(daemon.stub, asking(max_new_tokens=1)).reason == "MAX_TOKENS"


@pytest.mark.parametrize("words", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\x00" * 64])
def test_another_protocol(daemon: DaemonProcess, words: bytes) -> None:
    """Web browsers and clients that want TLS are hung up on, and disturb nobody."""
    host, _, port = daemon.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(words)
        with suppress(ConnectionResetError):
            while connection.recv(4096):
                pass
    assert daemon.status().state == wire.SERVING_STATE_SERVING


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (wire.TokenizeRequest(), "input"),
        (wire.TokenizeRequest(instruction=" "), "instruction"),
        (wire.TokenizeRequest(messages=wire.Conversation()), "messages.messages"),
        (wire.TokenizeRequest(messages=_messages((9, "a"))), "messages.messages[0].role"),
    ],
)
def test_tokenize_refuses(daemon: DaemonProcess, request_: wire.TokenizeRequest, field: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        daemon.stub.Tokenize(request_)
    _assert_refused(Failure.of(caught.value), field)


def test_detokenize_refuses(daemon: DaemonProcess) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        daemon.stub.Detokenize(wire.DetokenizeRequest(token_ids=[1, 2, 2**31]))
    _assert_refused(Failure.of(caught.value), "token_ids[2]")


def test_nothing_is_nothing(daemon: DaemonProcess) -> None:
    """Tokenizing no text is no mistake: there are no tokens, and of them no text."""
    assert list(daemon.stub.Tokenize(wire.TokenizeRequest(text="")).token_ids) == []
    assert daemon.stub.Detokenize(wire.DetokenizeRequest()).text == ""


FUZZ = settings(max_examples=120, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXTS = st.one_of(st.text(max_size=40), st.sampled_from(["write quicksort", "<|endoftext|>", "{{ 7 * 7 }}", "\0"]))
NUMBERS = st.one_of(st.floats(width=32), st.floats(0, 2, width=32))
COUNTS = st.one_of(st.integers(0, 70), st.integers(0, 2**32 - 1))
MESSAGES = st.builds(
    wire.Message, role=st.one_of(st.sampled_from([1, 2, 3]), st.integers(-(2**31), 2**31 - 1)), content=TEXTS
)
INPUTS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries({"instruction": TEXTS}),
    st.fixed_dictionaries({"prompt": TEXTS}),
    st.fixed_dictionaries({"messages": st.builds(wire.Conversation, messages=st.lists(MESSAGES, max_size=4))}),
    st.fixed_dictionaries({"token_ids": st.builds(wire.TokenIds, ids=st.lists(COUNTS, max_size=40))}),
    st.just({}),
)
SAMPLINGS = st.builds(
    wire.SamplingOptions,
    temperature=NUMBERS,
    top_k=COUNTS,
    top_p=st.none() | NUMBERS,
    repetition_penalty=st.none() | NUMBERS,
    repetition_window=st.none() | COUNTS,
    seed=st.none() | st.integers(0, 2**64 - 1),
)
STOPPINGS = st.builds(
    wire.StoppingOptions,
    max_new_tokens=st.integers(0, 6),
    stop_sequences=st.lists(st.text(max_size=300), max_size=18),
    include_stop_sequence=st.booleans(),
)
RESPONSES = st.builds(
    wire.ResponseOptions, token_ids=st.booleans(), logprobs=st.booleans(), top_logprobs=st.integers(0, 22)
)
FEW_TOKENS = wire.StoppingOptions(max_new_tokens=3)


@FUZZ
@given(input_=INPUTS, sampling=SAMPLINGS, stopping=STOPPINGS | st.just(FEW_TOKENS), response=RESPONSES)
def test_any_request_is_answered_or_refused(
    daemon: DaemonProcess,
    input_: dict[str, Any],
    sampling: wire.SamplingOptions,
    stopping: wire.StoppingOptions,
    response: wire.ResponseOptions,
) -> None:
    request = wire.GenerateRequest(sampling=sampling, stopping=stopping, response=response, **input_)
    try:
        answer = ask(daemon.stub, request)
    except grpc.RpcError as error:
        failure = Failure.of(error)
        assert failure.code is grpc.StatusCode.INVALID_ARGUMENT, failure
        assert len(failure.fields) == 1
    else:
        assert 0 < answer.usage.generated_tokens <= 6
        assert len(answer.tokens) in (0, answer.usage.generated_tokens)


@FUZZ
@given(input_=INPUTS)
def test_any_greedy_request_with_sound_options(daemon: DaemonProcess, input_: dict[str, Any]) -> None:
    failure = _raw(daemon, "Generate", wire.GenerateRequest(stopping=FEW_TOKENS, **input_).SerializeToString())
    assert failure is None or failure.code is grpc.StatusCode.INVALID_ARGUMENT, failure


@FUZZ
@given(message=st.binary(max_size=60), method=st.sampled_from(["Generate", "Tokenize", "Detokenize", "GetModel"]))
def test_any_bytes_are_answered_or_refused(daemon: DaemonProcess, message: bytes, method: str) -> None:
    failure = _raw(daemon, method, message)
    assert failure is None or failure.code is grpc.StatusCode.INVALID_ARGUMENT, failure


@FUZZ
@given(text=st.text(max_size=60))
def test_any_text_survives_its_tokens(daemon: DaemonProcess, text: str) -> None:
    ids = daemon.stub.Tokenize(wire.TokenizeRequest(text=text)).token_ids
    assert daemon.stub.Detokenize(wire.DetokenizeRequest(token_ids=ids)).text == text
