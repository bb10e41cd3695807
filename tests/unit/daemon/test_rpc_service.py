"""The whole edge with a real server, scheduler and engine, over the fake device."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from wizardtpu.v1 import generation_pb2 as wire
from wizardtpud.errors import DeviceError
from wizardtpud.observability.device_reading import DeviceReading
from wizardtpud.observability.outcome import Outcome
from wizardtpud.rpc.serving import ServingState

from tests.support.eventually import PATIENCE
from tests.support.failure import Failure
from tests.support.service_in_process import VOCABULARY, Service, service_in_process

SERVICE = "wizardtpu.v1.GenerationService"
CONTEXT = 2048  # as good as endless at the pace of `until_running`


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with service_in_process(tmp_path, context=CONTEXT, queue_capacity=2) as running:
        yield running


def request(ids: Sequence[int] = (30,), max_new_tokens: int | None = 3, **options: Any) -> wire.GenerateRequest:
    return wire.GenerateRequest(
        token_ids=wire.TokenIds(ids=ids), stopping=wire.StoppingOptions(max_new_tokens=max_new_tokens), **options
    )


async def events_of(service: Service, message: wire.GenerateRequest) -> list[wire.GenerateResponse]:
    return [event async for event in service.stub.Generate(message, timeout=PATIENCE)]


async def to_the_end(call: Any) -> None:
    """Reads a stream, or waits for the one answer."""
    if not hasattr(call, "read"):
        await call
        return
    while await call.read() is not grpc.aio.EOF:
        pass


async def failure_of(call: Any) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await to_the_end(call)
    return Failure.of(error.value)


async def until_running(service: Service) -> grpc.aio.UnaryStreamCall[Any, Any]:
    """A call that holds the device and never ends by itself, as its device goes round and round."""
    service.runtime.successor = lambda token: 30 + token % 10
    service.runtime.delay = 0.005
    call = service.stub.Generate(request(max_new_tokens=None))
    while not (await read(call)).HasField("started"):
        pass
    return call


async def read(call: grpc.aio.UnaryStreamCall[Any, wire.GenerateResponse]) -> wire.GenerateResponse:
    event = await call.read()
    assert isinstance(event, wire.GenerateResponse)
    return event


def names(events: list[wire.GenerateResponse]) -> list[str | None]:
    return [event.WhichOneof("event") for event in events]


async def test_the_life_of_a_call(service: Service) -> None:
    events = await events_of(service, request([30, 31, 32]))

    kinds = names(events)
    assert (kinds[:3], set(kinds[2:-1]), kinds[-1]) == (["queued", "started", "delta"], {"delta"}, "finished")
    text = "".join(event.delta.text for event in events)
    assert text == service.tokenizer.decode([33, 34, 35])
    assert events[1].started.prompt_tokens == 3
    finished = events[-1].finished
    assert finished.reason == wire.FINISH_REASON_MAX_TOKENS
    assert (finished.usage.prompt_tokens, finished.usage.generated_tokens) == (3, 3)
    assert finished.seed == events[1].started.seed
    assert not any(event.delta.tokens for event in events)


async def test_no_token_waits_for_the_next(service: Service) -> None:
    """However much deltas may gather while a model is fast: each token here is made when the last one is read."""
    may_go_on = threading.Semaphore(0)

    def successor(token: int) -> int:
        assert may_go_on.acquire(timeout=PATIENCE)
        return token + 1

    service.runtime.successor = successor
    texts = []
    async for event in service.stub.Generate(request([30], 5), timeout=PATIENCE):
        if event.HasField("delta"):
            texts.append(event.delta.text)
        if not event.HasField("queued"):
            may_go_on.release()

    assert texts == [service.tokenizer.decode([token]) for token in range(31, 36)]


async def test_the_end_of_the_text_is_a_token_and_no_text(service: Service) -> None:
    last = VOCABULARY - 1
    silent = await events_of(service, request([last], None))
    told = await events_of(service, request([last], None, response=wire.ResponseOptions(token_ids=True)))

    assert names(silent) == ["queued", "started", "finished"]
    assert silent[-1].finished.reason == wire.FINISH_REASON_END_OF_TEXT
    assert silent[-1].finished.usage.generated_tokens == 1
    assert names(told) == ["queued", "started", "delta", "finished"]
    assert [token.id for token in told[2].delta.tokens] == [0]


async def test_log_probabilities(service: Service) -> None:
    options = wire.ResponseOptions(logprobs=True, top_logprobs=2)

    events = await events_of(service, request([30], 1, response=options))

    (token,) = next(event.delta.tokens for event in events if event.delta.tokens)
    assert token.id == 31
    assert [other.id for other in token.alternatives] == [31, 30]
    assert token.logprob == token.alternatives[0].logprob > token.alternatives[1].logprob


async def test_a_stop_sequence_ends_the_answer(service: Service) -> None:
    stop = service.tokenizer.decode([34])
    message = request([30], None)
    message.stopping.stop_sequences.append(stop)

    events = await events_of(service, message)

    assert "".join(event.delta.text for event in events) == service.tokenizer.decode([31, 32, 33])
    finished = events[-1].finished
    assert (finished.reason, finished.stop_sequence) == (wire.FINISH_REASON_STOP_SEQUENCE, stop)


async def test_a_full_queue_refuses(service: Service) -> None:
    running = await until_running(service)
    waiting = [service.stub.Generate(request()) for _ in range(2)]
    for call in waiting:
        assert (await read(call)).HasField("queued")

    failure = await failure_of(service.stub.Generate(request()))

    assert failure.reason == "wizardtpud/QUEUE_FULL"
    assert failure.retry_seconds is not None
    status = await service.stub.GetStatus(wire.GetStatusRequest())
    assert (status.queue_depth, status.queue_capacity, status.running, status.slots) == (2, 2, 1, 1)
    for call in [running, *waiting]:
        call.cancel()


async def test_a_cancelled_call_makes_way(service: Service) -> None:
    running = await until_running(service)
    after = service.stub.Generate(request([30], 1))
    assert (await read(after)).HasField("queued")

    running.cancel()

    await asyncio.wait_for(to_the_end(after), PATIENCE)
    assert service.scheduler.finished_requests == 2
    assert service.scheduler.generated_tokens < CONTEXT / 2


async def test_a_bad_request_is_refused_before_the_queue(service: Service) -> None:
    failure = await failure_of(service.stub.Generate(request(sampling=wire.SamplingOptions(temperature=-1))))

    assert (failure.code, failure.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ("sampling.temperature",))
    assert service.scheduler.finished_requests == 0


async def test_while_loading_requests_are_refused_and_tokens_are_not(service: Service) -> None:
    service.serving.become(ServingState.LOADING)

    failure = await failure_of(service.stub.Generate(request()))
    tokens = await service.stub.Tokenize(wire.TokenizeRequest(text="def"))

    assert (failure.reason, failure.code) == ("wizardtpud/LOADING", grpc.StatusCode.UNAVAILABLE)
    assert service.tokenizer.decode(tokens.token_ids) == "def"


async def test_while_draining_requests_are_refused(service: Service) -> None:
    running = await until_running(service)
    service.scheduler.drain()

    assert (await failure_of(service.stub.Generate(request()))).reason == "wizardtpud/DRAINING"
    running.cancel()


async def test_stopping_tells_the_clients(service: Service) -> None:
    running = await until_running(service)

    service.scheduler.stop()

    failure = await failure_of(running)
    assert (failure.reason, failure.code) == ("wizardtpud/STOPPED", grpc.StatusCode.UNAVAILABLE)


async def test_a_failing_device_tells_the_clients(service: Service) -> None:
    running = await until_running(service)
    waiting = service.stub.Generate(request())
    await waiting.read()

    service.runtime.failure = "the chip is gone"

    for call in (running, waiting):
        failure = await failure_of(call)
        assert (failure.reason, failure.message) == ("wizardtpud/DEVICE_FAILURE", "the chip is gone")
    with pytest.raises(DeviceError):
        await asyncio.wait_for(service.ended, PATIENCE)


async def test_outcomes_are_counted(service: Service) -> None:
    await events_of(service, request())
    await failure_of(service.stub.Generate(wire.GenerateRequest()))

    for outcome in (Outcome.MAX_TOKENS, Outcome.INVALID):
        labels = {"outcome": outcome.value}
        assert service.metrics.registry.get_sample_value("wizardtpud_requests_total", labels) == 1


async def test_tokenize_and_detokenize_are_inverse(service: Service) -> None:
    tokens = await service.stub.Tokenize(wire.TokenizeRequest(text="naïve 🦊", with_pieces=True))
    text = await service.stub.Detokenize(wire.DetokenizeRequest(token_ids=tokens.token_ids))

    assert text.text == "naïve 🦊"
    assert list(tokens.pieces) == [service.tokenizer.piece(token_id) for token_id in tokens.token_ids]


async def test_tokenize_renders_what_generate_would(service: Service) -> None:
    rendered = await service.stub.Tokenize(wire.TokenizeRequest(instruction="sort"))

    assert service.tokenizer.decode(rendered.token_ids) == "user: sort\n"
    assert not rendered.pieces


async def test_detokenize_refuses_unknown_ids(service: Service) -> None:
    call = service.stub.Detokenize(wire.DetokenizeRequest(token_ids=[1, VOCABULARY]))

    assert (await failure_of(call)).fields == ("token_ids[1]",)


async def test_status_and_model(service: Service) -> None:
    await events_of(service, request())

    status = await service.stub.GetStatus(wire.GetStatusRequest())
    model = await service.stub.GetModel(wire.GetModelRequest())

    assert (status.state, status.version) == (wire.SERVING_STATE_SERVING, "1.2.3")
    assert (status.finished_requests, status.generated_tokens) == (1, 3)
    assert status.started_at.ToDatetime(timezone.utc) == datetime(2026, 1, 2, tzinfo=timezone.utc)
    assert (model.name, model.bundle_digest) == ("small", "d1")


async def test_status_of_devices(tmp_path: Path) -> None:
    readings = [DeviceReading(0, "pcie", utilization=0.5), DeviceReading(1)]
    async with service_in_process(tmp_path, devices=readings) as service:
        status = await service.stub.GetStatus(wire.GetStatusRequest())

    assert list(status.devices) == [
        wire.DeviceStatus(device=0, source="pcie", utilization=0.5),
        wire.DeviceStatus(device=1),
    ]


@pytest.mark.parametrize("name", ["", SERVICE])
@pytest.mark.parametrize("state", ServingState)
async def test_health_follows_the_state(service: Service, name: str, state: ServingState) -> None:
    health: Any = health_pb2_grpc.HealthStub(service.channel)

    service.serving.become(state)

    answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
    assert (answer.status == health_pb2.HealthCheckResponse.SERVING) == (state is ServingState.SERVING)
    status = await service.stub.GetStatus(wire.GetStatusRequest())
    assert wire.ServingState.Name(status.state) == f"SERVING_STATE_{state.name}"
