"""However reading ends, the daemon learns of it and the caller gets one clear error or none."""

from __future__ import annotations

import asyncio
import threading

import pytest
import wizardtpu_client as w
from grpc import StatusCode

from tests.support.scripted_server import (
    ScriptedServer,
    delta,
    play,
    queued,
    refuse,
    started,
    until_cancelled,
)

HANGING = play(queued(1), started(), delta("Hel"), until_cancelled)
WAITING = play(queued(3), until_cancelled)
SECONDS = 10  # far more than any of this takes


@pytest.fixture
def hanging(server: ScriptedServer) -> ScriptedServer:
    server.plays(HANGING)
    return server


def test_cancel_while_reading(hanging: ScriptedServer, client: w.Client) -> None:
    stream = client.generate("x")
    deltas = iter(stream)
    next(deltas)
    stream.cancel()
    with pytest.raises(w.Cancelled, match=r"^the call was cancelled$"):
        next(deltas)
    assert hanging.service.ended.wait(SECONDS)


def test_cancel_from_another_thread_while_queued(server: ScriptedServer, client: w.Client) -> None:
    server.plays(WAITING)
    stream = client.generate("x")
    next(stream.events())
    canceller = threading.Timer(0.05, stream.cancel)
    canceller.start()
    with pytest.raises(w.Cancelled):
        stream.text()
    canceller.join()
    assert server.service.ended.wait(SECONDS)


def test_cancel_before_reading_sends_nothing(server: ScriptedServer, client: w.Client) -> None:
    stream = client.generate("x")
    stream.cancel()
    with pytest.raises(w.Cancelled):
        stream.text()
    assert server.service.requests == []


def test_cancel_between_attempts(server: ScriptedServer) -> None:
    server.plays(play(refuse(StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")))
    streams: list[w.GenerationStream] = []
    retry = w.Retry(initial=60, maximum=60, on_wait=lambda _failure, _wait: streams[0].cancel())
    with w.Client(server.address, retry=retry) as client:
        streams.append(client.generate("x"))
        with pytest.raises(w.Cancelled):
            streams[0].text()
    assert len(server.service.requests) == 1


def test_leaving_the_block_cancels(hanging: ScriptedServer, client: w.Client) -> None:
    with client.generate("x") as stream:
        assert next(iter(stream)).text == "Hel"
    assert hanging.service.ended.wait(SECONDS)


def test_dropping_the_stream_cancels(hanging: ScriptedServer, client: w.Client) -> None:
    for _ in client.generate("x"):
        break
    assert hanging.service.ended.wait(SECONDS)


def test_deadline(hanging: ScriptedServer, client: w.Client) -> None:
    with pytest.raises(w.DeadlineExceeded, match="within the timeout") as caught:
        client.generate("x", timeout=0.2).text()
    assert caught.value.code is StatusCode.DEADLINE_EXCEEDED
    assert hanging.service.ended.wait(SECONDS)


def test_the_clients_timeout_is_the_default(hanging: ScriptedServer) -> None:
    with w.Client(hanging.address, timeout=0.2) as client, pytest.raises(w.DeadlineExceeded):
        client.generate("x").text()


async def test_asyncio_cancel_while_reading(hanging: ScriptedServer) -> None:
    async with w.AsyncClient(hanging.address) as client:
        stream = client.generate("x")
        async for _ in stream:
            break
        stream.cancel()
        with pytest.raises(w.Cancelled):
            await stream.text()
    assert await asyncio.to_thread(hanging.service.ended.wait, SECONDS)


async def test_asyncio_cancel_from_another_task_between_attempts(server: ScriptedServer) -> None:
    server.plays(play(refuse(StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")))
    waiting = asyncio.Event()
    retry = w.Retry(initial=60, maximum=60, on_wait=lambda _failure, _wait: waiting.set())
    async with w.AsyncClient(server.address, retry=retry) as client:
        stream = client.generate("x")
        reader = asyncio.create_task(stream.text())
        await waiting.wait()
        stream.cancel()
        with pytest.raises(w.Cancelled):
            await reader


async def test_asyncio_a_cancelled_task_is_cancelled_and_so_is_the_call(hanging: ScriptedServer) -> None:
    async with w.AsyncClient(hanging.address) as client:
        begun = asyncio.Event()

        async def read() -> None:
            async for _ in client.generate("x"):
                begun.set()

        reader = asyncio.create_task(read())
        await begun.wait()
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert await asyncio.to_thread(hanging.service.ended.wait, SECONDS)


async def test_asyncio_leaving_the_block_cancels(hanging: ScriptedServer) -> None:
    async with w.AsyncClient(hanging.address) as client:
        async with client.generate("x") as stream:
            async for _ in stream:
                break
        assert await asyncio.to_thread(hanging.service.ended.wait, SECONDS)


async def test_asyncio_dropping_the_stream_cancels(hanging: ScriptedServer) -> None:
    async with w.AsyncClient(hanging.address) as client:
        async for _ in client.generate("x"):
            break
        assert await asyncio.to_thread(hanging.service.ended.wait, SECONDS)


async def test_asyncio_deadline(hanging: ScriptedServer) -> None:
    async with w.AsyncClient(hanging.address) as client:
        with pytest.raises(w.DeadlineExceeded):
            await client.generate("x", timeout=0.2).text()
