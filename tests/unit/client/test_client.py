"""The two clients against a real server: requests as they arrive, events as they are given."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest
import wizardtpu_client as w
from wizardtpu.v1 import generation_pb2 as wire
from wizardtpu_client.address import channel_options, resolve

from tests.support.scripted_server import ScriptedServer, answer, delta, finished, play, queued, started

TOKEN = wire.Token(id=3, logprob=-0.5, alternatives=[wire.Alternative(id=4, logprob=-1.5)])
SCRIPT = play(queued(2, wait=1.5), queued(1), started(), delta("Hel"), delta("lo.", TOKEN), finished())
EVENTS = [
    w.Queued(2, 1.5, "r1"),
    w.Queued(1, None, "r1"),
    w.Started(prompt_tokens=7, reused_tokens=2, seed=42),
    w.Delta("Hel", ()),
    w.Delta("lo.", (w.Token(3, -0.5, (w.Alternative(4, -1.5),)),)),
    w.Finished(
        reason=w.FinishReason.END_OF_TEXT,
        usage=w.Usage(prompt_tokens=7, reused_tokens=2, generated_tokens=11),
        seed=42,
        timings=w.Timings(queue=0.25, prefill=0.5, decode=2.0, time_to_first_token=0.75),
        stop_sequence="",
    ),
]


def test_events(server: ScriptedServer, client: w.Client) -> None:
    server.plays(SCRIPT)
    stream = client.generate("x")
    assert stream.finished is None
    assert list(stream.events()) == EVENTS
    assert stream.finished == EVENTS[-1]


def test_iteration_gives_deltas_and_text_the_rest(server: ScriptedServer, client: w.Client) -> None:
    server.plays(SCRIPT)
    stream = client.generate("x")
    assert next(iter(stream)).text == "Hel"
    assert stream.text() == "lo."
    assert list(stream) == []


async def test_asyncio_events(server: ScriptedServer) -> None:
    server.plays(SCRIPT)
    async with w.AsyncClient(server.address) as client:
        stream = client.generate("x")
        assert [event async for event in stream.events()] == EVENTS
        assert stream.finished == EVENTS[-1]
        assert [delta.text async for delta in client.generate("x")] == ["Hel", "lo."]


async def test_asyncio_streams_run_side_by_side(server: ScriptedServer) -> None:
    server.plays(answer("Hello."))
    async with w.AsyncClient(server.address) as client:
        assert await asyncio.gather(*(client.generate("x").text() for _ in range(4))) == ["Hello."] * 4


def test_every_option_reaches_the_wire(server: ScriptedServer, client: w.Client) -> None:
    client.generate(
        "x",
        temperature=0.5,
        top_k=40,
        top_p=0.75,
        repetition_penalty=1.25,
        repetition_window=0,
        seed=2**64 - 1,
        max_new_tokens=9,
        stop=["a", "b"],
        include_stop=True,
        return_token_ids=True,
        logprobs=2,
    ).text()
    expected = wire.GenerateRequest(
        instruction="x",
        sampling=wire.SamplingOptions(
            temperature=0.5,
            top_k=40,
            top_p=0.75,
            repetition_penalty=1.25,
            repetition_window=0,
            seed=2**64 - 1,
        ),
        stopping=wire.StoppingOptions(max_new_tokens=9, stop_sequences=["a", "b"], include_stop_sequence=True),
        response=wire.ResponseOptions(token_ids=True, logprobs=True, top_logprobs=2),
    )
    assert server.service.requests == [expected]


def test_options_left_out_stay_unset(server: ScriptedServer, client: w.Client) -> None:
    client.generate("x").text()
    (request,) = server.service.requests
    assert isinstance(request, wire.GenerateRequest)
    assert not request.sampling.ListFields()
    assert not request.stopping.ListFields()
    assert not request.response.ListFields()


def test_the_other_inputs(server: ScriptedServer, client: w.Client) -> None:
    client.generate(prompt="").text()
    client.generate(
        messages=[w.Message("system", "s"), w.Message("user", "u"), w.Message("assistant", "a")]
    ).text()
    client.generate(token_ids=[1, 2]).text()
    turns = [
        wire.Message(role=wire.ROLE_SYSTEM, content="s"),
        wire.Message(role=wire.ROLE_USER, content="u"),
        wire.Message(role=wire.ROLE_ASSISTANT, content="a"),
    ]
    inputs = [each.WhichOneof("input") for each in server.service.requests]
    assert inputs == ["prompt", "messages", "token_ids"]
    assert list(server.service.requests[1].messages.messages) == turns  # type: ignore[attr-defined]
    assert list(server.service.requests[2].token_ids.ids) == [1, 2]  # type: ignore[attr-defined]


@pytest.mark.parametrize("given", [{}, {"prompt": "a", "token_ids": [1]}])
def test_exactly_one_input(client: w.Client, given: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="exactly one of instruction, prompt, messages, token_ids"):
        client.generate(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"top_k": -1}, "sampling.top_k"),
        ({"seed": 2**64}, "sampling.seed"),
        ({"max_new_tokens": 2**32}, "stopping.max_new_tokens"),
        ({"stop": ["a", "\udc80"]}, "stopping.stop_sequences"),
        ({"logprobs": -1}, "response.top_logprobs"),
    ],
)
def test_a_value_that_fits_no_field_is_refused_by_name(
    client: w.Client, given: dict[str, object], field: str
) -> None:
    with pytest.raises(w.InvalidRequest, match=field) as caught:
        client.generate("x", **given)  # type: ignore[arg-type]
    assert caught.value.violations[0].field == field


def test_an_input_that_fits_no_field_is_refused_by_name(client: w.Client) -> None:
    with pytest.raises(w.InvalidRequest, match="instruction: not valid Unicode"):
        client.generate("\udc80")
    with pytest.raises(w.InvalidRequest, match=r"token_ids\.ids"):
        client.generate(token_ids=[-1])
    with pytest.raises(w.InvalidRequest, match=r"messages\.messages\[1\]\.role"):
        client.generate(messages=[w.Message("user", "a"), w.Message("robot", "b")])  # type: ignore[arg-type]


def test_a_value_of_the_wrong_type_is_named(client: w.Client) -> None:
    with pytest.raises(TypeError, match=r"sampling\.temperature"):
        client.generate("x", temperature="hot")  # type: ignore[arg-type]


def test_the_other_methods(server: ScriptedServer, client: w.Client) -> None:
    assert client.tokenize("ab", pieces=True) == w.Tokens((5, 6), ("a", "b"))
    assert client.tokenize(instruction="ab").ids == (5, 6)
    assert client.detokenize([5, 6]) == "ab"
    assert client.model().context_length == 512
    status = client.status()
    assert status.state is w.ServingState.SERVING
    assert status.started_at is not None
    assert status.started_at.timestamp() == 1_700_000_000
    assert server.service.requests == [
        wire.TokenizeRequest(text="ab", with_pieces=True),
        wire.TokenizeRequest(instruction="ab"),
        wire.DetokenizeRequest(token_ids=[5, 6]),
    ]


def test_what_a_device_does_not_say_is_none(server: ScriptedServer, client: w.Client) -> None:
    server.service.devices = [
        wire.DeviceStatus(utilization=0.0, fault=False, source="soc"),
        wire.DeviceStatus(device=1),
    ]
    known, unknown = client.status().devices
    assert (known.device, known.utilization, known.fault, known.source) == (0, 0.0, False, "soc")
    assert unknown.device == 1
    assert {value for name, value in vars(unknown).items() if name != "device"} == {None}


def test_a_device_has_every_field_of_the_wire() -> None:
    assert set(w.DeviceStatus.__annotations__) == set(wire.DeviceStatus.DESCRIPTOR.fields_by_name)


async def test_asyncio_other_methods(server: ScriptedServer) -> None:
    async with w.AsyncClient(server.address) as client:
        assert (await client.tokenize("ab")).ids == (5, 6)
        assert await client.detokenize([5, 6]) == "ab"
        assert (await client.model()).name == "demo"
        assert (await client.status()).version == "0.1.0"


def test_a_unix_socket(tmp_path: Path) -> None:
    with ScriptedServer(f"unix:{tmp_path}/daemon.sock") as server, w.Client(server.address) as client:
        assert client.generate("x").text() == "Hello."


async def test_credentials() -> None:
    once = w.Retry(attempts=1)
    local = grpc.local_channel_credentials()
    with ScriptedServer(credentials=grpc.local_server_credentials()) as server:
        with w.Client(server.address, credentials=local, retry=once) as client:
            assert client.detokenize([5, 6]) == "ab"
        async with w.AsyncClient(server.address, credentials=local, retry=once) as client_:
            assert await client_.detokenize([5, 6]) == "ab"


@pytest.mark.parametrize("address", ["host:1", "unix:/run/a.sock", "[::1]:50051", "10.0.0.1:65535"])
def test_addresses(address: str) -> None:
    assert resolve(address) == address


@pytest.mark.parametrize("address", ["host", "host:", ":1", "host:0", "host:65536", "::1:80", "unix:", "host:x"])
def test_addresses_that_make_no_sense(address: str) -> None:
    with pytest.raises(ValueError, match="neither host:port"):
        w.Client(address)


def test_the_address_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIZARDTPU_ADDRESS", "box:7")
    assert w.Client().address == "box:7"
    assert w.Client("other:8").address == "other:8"
    monkeypatch.delenv("WIZARDTPU_ADDRESS")
    assert w.Client().address == "127.0.0.1:50051"


def test_channel_options_of_the_caller_win() -> None:
    options = dict(channel_options([("grpc.keepalive_time_ms", 1), ("grpc.x", 2)]))
    assert (options["grpc.keepalive_time_ms"], options["grpc.x"]) == (1, 2)
    assert options["grpc.enable_http_proxy"] == 0


def test_an_asyncio_client_needs_a_running_loop(server: ScriptedServer) -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        w.AsyncClient(server.address)
