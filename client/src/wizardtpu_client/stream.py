"""The answer as it comes: one stream for synchronous code, one for asyncio, and what both have in common."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import TYPE_CHECKING

import grpc
from grpc import StatusCode
from wizardtpu.v1 import generation_pb2 as wire

from wizardtpu_client._failure import CANCELLED, failure_of
from wizardtpu_client.errors import Cancelled, ServerError
from wizardtpu_client.events import Delta, Event, Finished, Queued, event_of
from wizardtpu_client.retry import Attempts, Retry

if TYPE_CHECKING:
    from grpc import _CallIterator  # known to the stubs only


class Progress:
    """How far a stream has come, and what its next message or failure means."""

    def __init__(
        self, request: wire.GenerateRequest, *, address: str, retry: Retry, timeout: float | None
    ) -> None:
        self._request = request
        self._address = address
        self._retry = retry
        self._timeout = timeout
        self._attempts: Attempts | None = None
        self._streaming = False
        self._ended = False
        self._finished: Finished | None = None

    @property
    def finished(self) -> Finished | None:
        """The last event; None until it has come."""
        return self._finished

    def _time_left(self) -> float | None:
        """Seconds left for the attempt that is about to begin; the first one starts the clock."""
        self._attempts = self._attempts or Attempts(self._retry, self._timeout)
        return self._attempts.time_left()

    def _receive(self, message: wire.GenerateResponse | None) -> Event | None:
        """The event in a message; None, which stands for the end of the stream, stays None."""
        if message is None:
            self._check_complete()
            self._ended = True
            return None
        event = event_of(message)
        self._streaming = self._streaming or not isinstance(event, Queued)
        if isinstance(event, Finished):
            self._finished = event
        return event

    def _check_complete(self) -> None:
        if self._finished is None:
            raise ServerError("wizardtpud ended the stream before the answer was complete", code=StatusCode.OK)

    def _wait_after(self, error: grpc.RpcError) -> float:
        """Seconds to wait before the next attempt. Raises the typed error if there is to be none."""
        failure = failure_of(error, self._address)
        if self._streaming or self._attempts is None:
            raise failure
        return self._attempts.wait_after(failure)


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
        super().__init__(request, address=address, retry=retry, timeout=timeout)
        self._method = method
        self._call: _CallIterator[wire.GenerateResponse] | None = None
        self._cancelled = threading.Event()

    def __iter__(self) -> Iterator[Delta]:
        return (event for event in self.events() if isinstance(event, Delta))

    def events(self) -> Iterator[Event]:
        """All events that have not been read yet: Queued, Started, Delta, Finished."""
        while (event := self._next()) is not None:
            yield event

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

    def _next(self) -> Event | None:
        """The next event, after as many attempts as it takes; None at the end."""
        while not self._ended:
            call = self._call or self._begin()
            try:
                message = next(call, None)
            except grpc.RpcError as error:
                wait = self._wait_after(error)
            else:
                return self._receive(message)
            self._call = None
            self._cancelled.wait(wait)
        return None

    def _begin(self) -> _CallIterator[wire.GenerateResponse]:
        if self._cancelled.is_set():
            raise _cancelled()
        self._call = call = self._method(self._request, timeout=self._time_left())
        if self._cancelled.is_set():  # by another thread, just now
            call.cancel()
        return call


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
        super().__init__(request, address=address, retry=retry, timeout=timeout)
        self._method = method
        self._call: grpc.aio.UnaryStreamCall[wire.GenerateRequest, wire.GenerateResponse] | None = None
        self._cancelled = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[Delta]:
        async for event in self.events():
            if isinstance(event, Delta):
                yield event

    async def events(self) -> AsyncIterator[Event]:
        """All events that have not been read yet: Queued, Started, Delta, Finished."""
        while (event := await self._next()) is not None:
            yield event

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

    def __del__(self) -> None:
        if self._call:  # unlike the synchronous call, it does not end itself when nothing refers to it
            self._call.cancel()

    async def _next(self) -> Event | None:
        """The next event, after as many attempts as it takes; None at the end."""
        while not self._ended:
            call = self._call or self._begin()
            try:
                message = await call.read()
            except grpc.RpcError as error:
                wait = self._wait_after(error)
            except asyncio.CancelledError:
                if not self._cancelled.is_set():
                    raise  # it is the task that is cancelled, not this call
                raise _cancelled() from None
            else:
                return self._receive(message if isinstance(message, wire.GenerateResponse) else None)
            self._call = None
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._cancelled.wait(), wait)
        return None

    def _begin(self) -> grpc.aio.UnaryStreamCall[wire.GenerateRequest, wire.GenerateResponse]:
        if self._cancelled.is_set():
            raise _cancelled()
        self._call = self._method(self._request, timeout=self._time_left())
        return self._call


def _cancelled() -> Cancelled:
    return Cancelled(CANCELLED, code=StatusCode.CANCELLED)
