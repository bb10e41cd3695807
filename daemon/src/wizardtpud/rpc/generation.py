"""One Generate call, from a checked request to its last event."""

from __future__ import annotations

import asyncio
import secrets

import grpc
from wizardtpu.v1 import generation_pb2 as wire

from wizardtpud.errors import SlowReaderError
from wizardtpud.rpc.departure import departure_cancels
from wizardtpud.rpc.messages import delta_message, finished_message, queued_message, started_message
from wizardtpud.rpc.options import sampling_of, stopping_of
from wizardtpud.scheduling.event_stream import EventStream
from wizardtpud.scheduling.events import Delta, Event, Failed, Finished, Queued, Started
from wizardtpud.scheduling.request import Request
from wizardtpud.scheduling.scheduler import Scheduler
from wizardtpud.text.tokenizer import Tokenizer
from wizardtpud.text.transcript import Transcript

# The least time between two Deltas: too short to be seen, and long enough to spare a model that writes thousands
# of tokens a second the thread switches of a message for each. One on a chip takes longer for every token.
_DELTA_SECONDS = 0.005
Context = grpc.aio.ServicerContext[wire.GenerateRequest, wire.GenerateResponse]


class Generation:
    """A request and the stream of its events. Made and run by the task that serves the call.

    Args:
        stream_buffer: how many events the client may fall behind before it is cut off.
        greedy_only: whether the model's networks give tokens alone.

    Raises:
        InvalidRequestError: an option is wrong.
        GreedyOnlyError: the model cannot do what an option asks for.
    """

    def __init__(
        self,
        message: wire.GenerateRequest,
        prompt: list[int],
        tokenizer: Tokenizer,
        stream_buffer: int,
        *,
        greedy_only: bool = False,
    ) -> None:
        stopping = stopping_of(message)
        task = asyncio.current_task()
        assert task is not None
        self._with_tokens = message.response.token_ids or message.response.logprobs
        # A slow reader's task is stuck in a write, so it's cancelled rather than told.
        self._events = EventStream(stream_buffer, on_overflow=task.cancel)
        self.request = Request(
            id=secrets.token_hex(8),
            prompt=prompt,
            sampling=sampling_of(message, greedy_only=greedy_only),
            max_new_tokens=stopping.max_new_tokens,
            transcript=Transcript(tokenizer, stopping.sequences, include_stop=stopping.include),
            outlet=self._events,
        )

    async def run(self, scheduler: Scheduler, context: Context) -> Finished:
        """Queues the request and relays its events to the client until it ends.

        Raises:
            WizardtpudError: it cannot be queued, it failed, or the client does not read.
        """
        try:
            scheduler.submit(self.request)
            return await self._relay(context)
        except asyncio.CancelledError:
            if self._events.overflowed:
                raise SlowReaderError("the stream was not read as fast as the model wrote") from None
            raise
        finally:
            scheduler.cancel(self.request)

    async def _relay(self, context: Context) -> Finished:
        while True:
            event = await self._events.get()
            if isinstance(event, Failed):
                raise event.error
            if isinstance(event, Delta) and not (event.text or self._with_tokens):
                continue  # the end of the text has tokens only
            with departure_cancels():
                await context.write(self._message(event))
            if isinstance(event, Finished):
                return event
            if isinstance(event, Delta):
                await self._events.rest(_DELTA_SECONDS)

    def _message(self, event: Event) -> wire.GenerateResponse:
        match event:
            case Delta():
                return delta_message(event, with_tokens=self._with_tokens)
            case Queued():
                return queued_message(event, self.request.id)
            case Started():
                return started_message(event, self.request.sampling.seed)
            case Finished():
                return finished_message(event, self.request)
        raise AssertionError(event)
