"""The client for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import TypeVar

import grpc
import grpc.aio
from wizardtpu.v1 import generation_pb2 as wire
from wizardtpu.v1.generation_pb2_grpc import GenerationServiceStub

from wizardtpu_client._base_client import BaseClient
from wizardtpu_client._failure import failure_of
from wizardtpu_client.address import ChannelOptions
from wizardtpu_client.request import Message, detokenize_request, tokenize_request
from wizardtpu_client.server import Model, Status, Tokens, model_of, status_of, tokens_of
from wizardtpu_client.stream import AsyncGenerationStream

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")


class AsyncClient(BaseClient[AsyncGenerationStream]):
    __doc__ = f"{BaseClient.__doc__}\n    To be made inside a running event loop, else it raises RuntimeError."

    async def tokenize(
        self,
        text: str | None = None,
        /,
        *,
        instruction: str | None = None,
        messages: Sequence[Message] | None = None,
        pieces: bool = False,
        timeout: float | None = None,
    ) -> Tokens:
        """The model's token ids of a text as it is, or of an instruction or messages in the prompt template.

        pieces: also the vocabulary's own spelling of each token. Raises WizardTPUError.
        """
        request = tokenize_request(text, instruction, messages, pieces)
        return tokens_of(await self._call(self._stub.Tokenize, request, timeout))

    async def detokenize(
        self,
        token_ids: Sequence[int],
        *,
        timeout: float | None = None,
    ) -> str:
        """The text of token ids. Raises WizardTPUError."""
        return (await self._call(self._stub.Detokenize, detokenize_request(token_ids), timeout)).text

    async def model(self, *, timeout: float | None = None) -> Model:
        """The resident model and the limits of a request. Raises WizardTPUError."""
        return model_of(await self._call(self._stub.GetModel, wire.GetModelRequest(), timeout))

    async def status(self, *, timeout: float | None = None) -> Status:
        """What the daemon is doing now. Raises WizardTPUError."""
        return status_of(await self._call(self._stub.GetStatus, wire.GetStatusRequest(), timeout))

    async def close(self) -> None:
        """Closes the connection; calls under way are cancelled."""
        await self._channel.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _stream(self, request: wire.GenerateRequest, timeout: float | None) -> AsyncGenerationStream:
        return AsyncGenerationStream(
            self._stub.Generate, request, address=self.address, retry=self._retry, timeout=timeout
        )

    def _connect(self, credentials: grpc.ChannelCredentials | None, options: ChannelOptions) -> None:
        asyncio.get_running_loop()  # without one, gRPC would bind itself to a loop that nothing runs
        if credentials is None:
            self._channel = grpc.aio.insecure_channel(self.address, options)
        else:
            self._channel = grpc.aio.secure_channel(self.address, credentials, options)
        self._stub = GenerationServiceStub(self._channel)

    async def _call(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[_Request, _Response],
        request: _Request,
        timeout: float | None,
    ) -> _Response:
        attempts = self._attempts(timeout)
        while True:
            try:
                return await method(request, timeout=attempts.time_left())
            except grpc.RpcError as error:
                wait = attempts.wait_after(failure_of(error, self.address))
            await asyncio.sleep(wait)
