"""Everything behind the wire, in this process: the real server, scheduler and engine, over the fake device."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import grpc
from wizardtpu.v1 import generation_pb2_grpc as stubs
from wizardtpud.engine.engine import Engine
from wizardtpud.engine.wizardtpu.forward import StepForward
from wizardtpud.model.bundle import Bundle
from wizardtpud.observability.device_reading import DeviceReading
from wizardtpud.observability.metrics import Metrics
from wizardtpud.rpc.journal import Journal
from wizardtpud.rpc.prompts import Prompts
from wizardtpud.rpc.server import SERVICE, make_server
from wizardtpud.rpc.servicer import GenerationServicer
from wizardtpud.rpc.serving import Serving, ServingState
from wizardtpud.scheduling.device_thread import DeviceThread
from wizardtpud.scheduling.scheduler import Scheduler
from wizardtpud.text.prompt_template import PromptTemplate
from wizardtpud.text.tokenizer import Tokenizer

from tests.support import small_bundle
from tests.support.byte_level_tokenizer import byte_level_backend
from tests.support.fake_runtime import FakeRuntime, fake_model

VOCABULARY = 320
TEMPLATE = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"


@dataclass(frozen=True)
class Service:
    """A running service and its parts, for a test to reach into.

    Attributes:
        stub: of a channel to it.
        ended: of the device's thread; holds the error that ended it, if one did.
    """

    stub: stubs.GenerationServiceAsyncStub
    channel: grpc.aio.Channel
    runtime: FakeRuntime
    scheduler: Scheduler
    serving: Serving
    metrics: Metrics
    tokenizer: Tokenizer
    ended: asyncio.Future[None]


@asynccontextmanager
async def service_in_process(
    directory: Path,
    *,
    slots: int = 1,
    context: int = 64,
    queue_capacity: int = 4,
    stream_buffer: int = 64,
    devices: Sequence[DeviceReading] = (),
) -> AsyncIterator[Service]:
    """Serves on a socket in `directory`; the vocabulary has 320 tokens, and the end of the text is 0."""
    runtime, layout = fake_model(VOCABULARY, context)
    tokenizer = Tokenizer(byte_level_backend(VOCABULARY))

    @contextmanager
    def open_engine() -> Iterator[Engine]:
        with runtime:
            yield Engine(StepForward(runtime, layout, slots), [0])

    scheduler, serving, metrics = Scheduler(queue_capacity, slots), Serving([SERVICE.full_name]), Metrics()
    servicer = GenerationServicer(
        bundle=Bundle(directory, small_bundle.manifest(), digest="d1"),
        tokenizer=tokenizer,
        prompts=Prompts(tokenizer, PromptTemplate(TEMPLATE), context),
        scheduler=scheduler,
        serving=serving,
        journal=Journal(metrics),
        devices=lambda: devices,
        stream_buffer=stream_buffer,
        version="1.2.3",
        started_at=datetime(2026, 1, 2, tzinfo=timezone.utc),
    )
    address = f"unix:{directory}/socket"
    device = DeviceThread("device", open_engine, scheduler)
    server = make_server(servicer, serving, [address])
    await server.start()
    device.start()
    ended = asyncio.wrap_future(device.ended)
    try:
        await asyncio.wrap_future(device.loaded)
        serving.become(ServingState.SERVING)
        async with grpc.aio.insecure_channel(address) as channel:
            stub = stubs.GenerationServiceStub(channel)
            yield Service(stub, channel, runtime, scheduler, serving, metrics, tokenizer, ended)
    finally:
        scheduler.stop()
        await asyncio.wait([ended])
        ended.exception()  # has been looked at, then: a test that cares for it has `ended`
        await server.stop(None)
