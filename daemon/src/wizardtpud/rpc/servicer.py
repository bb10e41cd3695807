"""The methods of `wizardtpu.v1.GenerationService`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wizardtpu.v1 import generation_pb2 as wire
from wizardtpu.v1 import generation_pb2_grpc as stubs

from wizardtpud.model.bundle import Bundle
from wizardtpud.observability.device_reading import DeviceReading
from wizardtpud.observability.outcome import Outcome
from wizardtpud.rpc.generation import Context, Generation
from wizardtpud.rpc.journal import Journal
from wizardtpud.rpc.messages import device_message, model_message
from wizardtpud.rpc.prompts import Prompts
from wizardtpud.rpc.serving import Serving, ServingState
from wizardtpud.scheduling.scheduler import Scheduler
from wizardtpud.text.tokenizer import Tokenizer

_STATES = {
    ServingState.LOADING: wire.SERVING_STATE_LOADING,
    ServingState.SERVING: wire.SERVING_STATE_SERVING,
    ServingState.DRAINING: wire.SERVING_STATE_DRAINING,
}


@dataclass(frozen=True)
class GenerationServicer(stubs.GenerationServiceServicer):
    """Everything the calls need, and nothing of their state.

    Attributes:
        devices: reads what the devices say; called in a thread of its own, as some sensors are slow.
    """

    bundle: Bundle
    tokenizer: Tokenizer
    prompts: Prompts
    scheduler: Scheduler
    serving: Serving
    journal: Journal
    devices: Callable[[], Sequence[DeviceReading]]
    stream_buffer: int
    version: str
    started_at: datetime

    # A coroutine that writes, where the stubs expect a generator: cancelling it ends it at once.
    async def Generate(self, message: wire.GenerateRequest, context: Context) -> None:  # type: ignore[override]
        with self.journal.entry(context) as entry:
            self.serving.check_loaded()
            prompt = await self.prompts.of_generate(message)
            greedy_only = not self.bundle.manifest.sampling
            entry.generation = Generation(
                message, prompt, self.tokenizer, self.stream_buffer, greedy_only=greedy_only
            )
            finished = await entry.generation.run(self.scheduler, context)
            entry.outcome = Outcome(finished.reason.value)

    async def Tokenize(self, message: wire.TokenizeRequest, context: Any) -> wire.TokenizeResponse:
        ids = await self.prompts.of_tokenize(message)
        pieces = [self.tokenizer.piece(token_id) for token_id in ids] if message.with_pieces else ()
        return wire.TokenizeResponse(token_ids=ids, pieces=pieces)

    async def Detokenize(self, message: wire.DetokenizeRequest, context: Any) -> wire.DetokenizeResponse:
        ids = self.prompts.checked_ids("token_ids", message.token_ids)
        return wire.DetokenizeResponse(text=self.tokenizer.decode(ids))

    async def GetModel(self, message: wire.GetModelRequest, context: Any) -> wire.GetModelResponse:
        return model_message(self.bundle)

    async def GetStatus(self, message: wire.GetStatusRequest, context: Any) -> wire.GetStatusResponse:
        devices = await asyncio.to_thread(self.devices)
        status = wire.GetStatusResponse(
            state=_STATES[self.serving.state],
            version=self.version,
            queue_depth=self.scheduler.queue_depth,
            queue_capacity=self.scheduler.queue_capacity,
            running=self.scheduler.running,
            slots=self.scheduler.slots,
            finished_requests=self.scheduler.finished_requests,
            generated_tokens=self.scheduler.generated_tokens,
            devices=map(device_message, devices),
        )
        status.started_at.FromDatetime(self.started_at)
        return status
