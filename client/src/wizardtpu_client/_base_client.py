"""What the synchronous and the asyncio client have in common: everything but the awaiting."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

import grpc
from wizardtpu.v1 import generation_pb2 as wire

from wizardtpu_client.address import ChannelOptions, channel_options, resolve
from wizardtpu_client.request import Message, set_fields, set_input
from wizardtpu_client.retry import Attempts, Retry

Stream = TypeVar("Stream")


class BaseClient(ABC, Generic[Stream]):
    """A connection to one daemon.

    address: `host:port` or `unix:/path`; by default the environment's WIZARDTPU_ADDRESS, else
    127.0.0.1:50051. Raises ValueError if it is neither.
    credentials: for TLS, from grpc.ssl_channel_credentials(); without, the connection is in plain text.
    options: gRPC channel options in addition to, or instead of, the client's own.
    retry: when a failed call is tried again.
    timeout: seconds for a whole call, all its attempts included, where the call does not say; None waits
    for as long as it takes.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        options: ChannelOptions = (),
        retry: Retry = Retry(),  # noqa: B008 -- immutable
        timeout: float | None = None,
    ) -> None:
        self.address = resolve(address)
        self._retry = retry
        self._timeout = timeout
        self._connect(credentials, channel_options(options))

    def generate(
        self,
        instruction: str | None = None,
        /,
        *,
        prompt: str | None = None,
        messages: Sequence[Message] | None = None,
        token_ids: Sequence[int] | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        repetition_penalty: float | None = None,
        repetition_window: int | None = None,
        seed: int | None = None,
        max_new_tokens: int | None = None,
        stop: str | Sequence[str] = (),
        include_stop: bool = False,
        return_token_ids: bool = False,
        logprobs: int | None = None,
        timeout: float | None = None,
    ) -> Stream:
        """The answer to one input, as a stream; the request is sent when the stream is first read.

        The input is exactly one of: an instruction or messages, rendered by the model's prompt template;
        a prompt or token_ids, given to the model as they are.

        temperature: 0 (the default) is greedy. top_k, top_p: keep only the likeliest tokens.
        repetition_penalty: over the latest repetition_window tokens (64 unless told, 0 is all).
        seed: makes sampling repeatable. stop: texts that end the answer; include_stop keeps the one found.
        logprobs: with each token its log probability and those of that many alternatives (0 is allowed).

        Raises TypeError unless there is exactly one input, InvalidRequest for a value that does not fit
        its field. What the daemon refuses is raised while the stream is read.
        """
        request = wire.GenerateRequest()
        set_input(request, instruction=instruction, prompt=prompt, messages=messages, token_ids=token_ids)
        sampling = {
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "repetition_penalty": repetition_penalty,
            "repetition_window": repetition_window,
            "seed": seed,
        }
        stopping = {
            "max_new_tokens": max_new_tokens,
            "stop_sequences": (stop,) if isinstance(stop, str) else tuple(stop),
            "include_stop_sequence": include_stop,
        }
        response = {
            "token_ids": return_token_ids,
            "logprobs": logprobs is not None,
            "top_logprobs": logprobs,
        }
        set_fields(request.sampling, "sampling", sampling)
        set_fields(request.stopping, "stopping", stopping)
        set_fields(request.response, "response", response)
        return self._stream(request, self._timeout if timeout is None else timeout)

    @abstractmethod
    def _connect(self, credentials: grpc.ChannelCredentials | None, options: ChannelOptions) -> None:
        """Opens the channel; gRPC connects with the first call."""

    @abstractmethod
    def _stream(self, request: wire.GenerateRequest, timeout: float | None) -> Stream: ...

    def _attempts(self, timeout: float | None) -> Attempts:
        return Attempts(self._retry, self._timeout if timeout is None else timeout)
