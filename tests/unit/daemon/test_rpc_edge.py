"""The edge around a service that does what a test says, on a real server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from wizardtpu.v1 import generation_pb2 as wire
from wizardtpu.v1 import generation_pb2_grpc as stubs
from wizardtpud.errors import QueueFullError, SlowReaderError
from wizardtpud.observability.metrics import Metrics
from wizardtpud.rpc.edge import Edge
from wizardtpud.rpc.journal import Journal
from wizardtpud.rpc.malformed import MAX_REQUEST_BYTES
from wizardtpud.rpc.server import SERVICE

from tests.support.failure import Failure

Act = Callable[[Any, Any], Awaitable[Any]]
INVALID = b"\x12\x02\xff\xff"  # a prompt, and a text, that is not UTF-8
METHODS = ["Generate", "GetModel"]


@dataclass
class Acted(stubs.GenerationServiceServicer):
    """Every method is the same act; `channel` leads here."""

    channel: grpc.aio.Channel
    act: Act

    async def Generate(self, request: Any, context: Any) -> None:  # type: ignore[override]
        await self.act(request, context)

    async def _answer(self, request: Any, context: Any) -> Any:
        return await self.act(request, context)

    Tokenize = Detokenize = GetModel = GetStatus = _answer

    async def call(self, method: str, raw: bytes = b"") -> list[bytes]:
        """The serialized answers of a method."""
        path, channel = f"/{SERVICE.full_name}/{method}", cast("Any", self.channel)
        if method == "Generate":
            return [answer async for answer in channel.unary_stream(path)(raw)]
        return [await channel.unary_unary(path)(raw)]

    async def failure(self, method: str, raw: bytes = b"") -> Failure:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await self.call(method, raw)
        return Failure.of(error.value)


async def unused(request: Any, context: Any) -> Any:
    raise AssertionError("the call must not get here")


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def service(tmp_path: Path, metrics: Metrics) -> AsyncIterator[Acted]:
    address = f"unix:{tmp_path}/socket"
    server = grpc.aio.server(interceptors=[Edge(SERVICE, Journal(metrics))])
    async with grpc.aio.insecure_channel(address) as channel:
        acted = Acted(channel, unused)
        stubs.add_GenerationServiceServicer_to_server(acted, server)
        server.add_insecure_port(address)
        await server.start()
        yield acted
        await server.stop(None)


def raising(error: Exception) -> Act:
    async def act(request: Any, context: Any) -> Any:
        raise error

    return act


@pytest.mark.parametrize("method", METHODS)
async def test_an_error_of_ours_becomes_its_status(service: Acted, method: str) -> None:
    service.act = raising(QueueFullError("the queue is full", 2.5))

    failure = await service.failure(method)

    assert failure == Failure(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "the queue is full", "wizardtpud/QUEUE_FULL", (), 2.5
    )


@pytest.mark.parametrize("method", METHODS)
async def test_a_fault_of_ours_is_logged_and_does_not_leak(
    service: Acted, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    service.act = raising(RuntimeError("password=secret"))

    failure = await service.failure(method)

    assert failure.code is grpc.StatusCode.INTERNAL
    assert failure.reason == "wizardtpud/INTERNAL"
    assert "secret" not in str(failure)
    (record,) = [record for record in caplog.records if record.name == "wizardtpud"]
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert "secret" in str(record.exc_info[1])


async def test_an_error_after_some_answers_ends_the_stream(service: Acted) -> None:
    async def act(request: Any, context: Any) -> Any:
        await context.write(wire.GenerateResponse(delta=wire.Delta(text="half")))
        raise SlowReaderError("too slow")

    service.act = act
    stream = stubs.GenerationServiceStub(service.channel).Generate(wire.GenerateRequest())

    first = await stream.read()
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await stream.read()

    assert first == wire.GenerateResponse(delta=wire.Delta(text="half"))
    assert Failure.of(error.value).reason == "wizardtpud/SLOW_READER"


@pytest.mark.parametrize("method", ["Generate", "Tokenize"])
async def test_text_that_is_not_utf8_is_refused_by_field(service: Acted, method: str) -> None:
    failure = await service.failure(method, INVALID)

    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert failure.fields == ({"Generate": "prompt", "Tokenize": "text"}[method],)


async def test_a_generation_that_gets_no_further_is_counted(service: Acted, metrics: Metrics) -> None:
    await service.failure("Generate", INVALID)
    await service.failure("Tokenize", INVALID)

    assert metrics.registry.get_sample_value("wizardtpud_requests_total", {"outcome": "invalid"}) == 1


@pytest.mark.parametrize("method", ["Generate", "Tokenize", "GetModel"])
async def test_what_is_no_message_is_refused(service: Acted, method: str) -> None:
    failure = await service.failure(method, b"\xff")

    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert failure.fields == ("request",)


@pytest.mark.parametrize("method", METHODS)
async def test_what_is_too_large_is_refused(service: Acted, method: str) -> None:
    failure = await service.failure(method, bytes(MAX_REQUEST_BYTES + 1))

    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert failure.fields == ("request",)


async def test_a_sound_message_arrives_parsed(service: Acted) -> None:
    arrived: list[Any] = []

    async def act(request: Any, context: Any) -> wire.TokenizeResponse:
        arrived.append(request)
        return wire.TokenizeResponse(token_ids=[7])

    service.act = act
    request = wire.TokenizeRequest(text="sort")

    (answer,) = await service.call("Tokenize", request.SerializeToString())

    assert arrived == [request]
    assert wire.TokenizeResponse.FromString(answer).token_ids == [7]


async def test_cancelling_a_call_cancels_its_task_at_once(service: Acted) -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def act(request: Any, context: Any) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    service.act = act
    stream = stubs.GenerationServiceStub(service.channel).Generate(wire.GenerateRequest())
    await asyncio.wait_for(began.wait(), 30)

    stream.cancel()

    await asyncio.wait_for(cancelled.wait(), 30)


async def test_an_unknown_method_is_for_grpc_to_refuse(service: Acted) -> None:
    assert (await service.failure("Nothing")).code is grpc.StatusCode.UNIMPLEMENTED
