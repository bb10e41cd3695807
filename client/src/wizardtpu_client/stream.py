"""The answer as it comes: one stream for synchronous code, one for asyncio, and what both have in common."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from types import TracebackType

import grpc
from grpc import StatusCode
from wizardtpu.v1 import generation_pb2 as wire

from wizardtpu_client._failure import failure_of
from wizardtpu_client.errors import Cancelled, ServerError
from wizardtpu_client.events import Delta, Event, Finished, Queued, event_of
from wizardtpu_client.retry import Attempts, Retry


class Progress:
    """How far a stream has come, and what its next message or failure means."""

    def __init__(self, address: str, retry: Retry, timeout: float | None) -> None:
        self._address = address
        self._retry = retry
        self._timeout = timeout
        self._streaming = False
        self._finished: Finished | None = None

    @property
    def finished(self) -> Finished | None:
        """The last event; None until it has come."""
        return self._finished

    def _attempts(self) -> Attempts:
        return Attempts(self._retry, self._timeout)

    def _receive(self, message: wire.GenerateResponse) -> Event:
        event = event_of(message)
        self._streaming = self._streaming or not isinstance(event, Queued)
        if isinstance(event, Finished):
            self._finished = event
        return event

    def _wait_after(self, error: grpc.RpcError, attempts: Attempts) -> float:
        failure = failure_of(error, self._address)
        if self._streaming:
            raise failure
        return attempts.wait_after(failure)

    def _check_complete(self) -> None:
        if self._finished is None:
            raise ServerError("wizardtpud ended the stream before the answer was complete", code=StatusCode.OK)


class GenerationStream(Progress):
    """One answer. Iterating sends the request and brings a Delta at a time.

    Used in a `with` statement, it cancels what is left of the answer at the end of the block. Iterating
    raises WizardTPUError.
    """

    def __init__(
        self,
        method: grpc.UnaryStreamMultiCallable[wire.GenerateRequest, wire.GenerateResponse],
        request: wire.GenerateRequest,
        *,
        address: str,
        retry: Retry,
        timeout: float | None,
    ) -> None:
        super().__init__(address, retry, timeout)
        self._method = method
        self._request = request
        self._call: grpc.Call | None = None
        self._cancelled = threading.Event()
        self._events = self._run()

    def __iter__(self) -> Iterator[Delta]:
        return (event for event in self._events if isinstance(event, Delta))

    def events(self) -> Iterator[Event]:
        """All events that have not been read yet: Queued, Started, Delta, Finished."""
        return self._events

    def text(self) -> str:
        """Waits for the end; returns the text that has not been read yet."""
        return "".join(delta.text for delta in self)

    def cancel(self) -> None:
        """Stops the daemon's work on the answer; an iteration under way raises Cancelled. From any thread."""
        self._cancelled.set()
        if self._call:
            self._call.cancel()

    def __enter__(self) -> GenerationStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    def _run(self) -> Iterator[Event]:
        attempts = self._attempts()
        while not self._cancelled.is_set():
            self._call = call = self._method(self._request, timeout=attempts.time_left())
            if self._cancelled.is_set():  # between the two lines above
                call.cancel()
            try:
                yield from map(self._receive, call)
            except grpc.RpcError as error:
                wait = self._wait_after(error, attempts)
            else:
                self._check_complete()
                return
            finally:
                call.cancel()
            self._cancelled.wait(wait)
        raise Cancelled("the call was cancelled", code=StatusCode.CANCELLED)


class AsyncGenerationStream(Progress):
    """One answer. Iterating with `async for` sends the request and brings a Delta at a time.

    Used in an `async with` statement, it cancels what is left of the answer at the end of the block.
    Iterating raises WizardTPUError.
    """

    def __init__(
        self,
        method: grpc.aio.UnaryStreamMultiCallable[wire.GenerateRequest, wire.GenerateResponse],
        request: wire.GenerateRequest,
        *,
        address: str,
        retry: Retry,
        timeout: float | None,
    ) -> None:
        super().__init__(address, retry, timeout)
        self._method = method
        self._request = request
        self._call: grpc.aio.Call | None = None
        self._cancelled = asyncio.Event()
        self._events = self._run()

    async def __aiter__(self) -> AsyncIterator[Delta]:
        async for event in self._events:
            if isinstance(event, Delta):
                yield event

    def events(self) -> AsyncIterator[Event]:
        """All events that have not been read yet: Queued, Started, Delta, Finished."""
        return self._events

    async def text(self) -> str:
        """Waits for the end; returns the text that has not been read yet."""
        return "".join([delta.text async for delta in self])

    def cancel(self) -> None:
        """Stops the daemon's work on the answer; an iteration under way raises Cancelled."""
        self._cancelled.set()
        if self._call:
            self._call.cancel()

    async def __aenter__(self) -> AsyncGenerationStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    async def _run(self) -> AsyncIterator[Event]:
        attempts = self._attempts()
        while not self._cancelled.is_set():
            self._call = call = self._method(self._request, timeout=attempts.time_left())
            try:
                async for message in call:
                    yield self._receive(message)
            except grpc.RpcError as error:
                wait = self._wait_after(error, attempts)
            except asyncio.CancelledError:
                if not self._cancelled.is_set():
                    raise  # it is the task that is cancelled, not this call
                break
            else:
                self._check_complete()
                return
            finally:
                call.cancel()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._cancelled.wait(), wait)
        raise Cancelled("the call was cancelled", code=StatusCode.CANCELLED)
