"""What surrounds every call of the daemon's own service: lenient parsing before it, statuses after it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.descriptor import Descriptor, ServiceDescriptor
from google.protobuf.message import DecodeError

from wizardtpud.errors import WizardtpudError
from wizardtpud.observability.logging import log
from wizardtpud.rpc.departure import departure_cancels
from wizardtpud.rpc.journal import Journal
from wizardtpud.rpc.malformed import MAX_REQUEST_BYTES, explain
from wizardtpud.rpc.statuses import status_of


@dataclass(frozen=True)
class _Malformed:
    raw: bytes


class Edge(grpc.aio.ServerInterceptor):
    """Turns errors into statuses, and messages that cannot be taken into errors that name the field.

    Args:
        service: the daemon's own; calls of others pass untouched.
        journal: of the streaming calls; what gets no further than here is recorded here.
    """

    def __init__(self, service: ServiceDescriptor, journal: Journal) -> None:
        self._journal = journal
        self._requests: dict[str, Descriptor] = {
            f"/{service.full_name}/{method.name}": method.input_type for method in service.methods
        }

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        message = self._requests.get(handler_call_details.method)
        if handler is None or message is None:
            return handler
        if handler.response_streaming:  # a coroutine that writes, so that cancelling it ends it at once
            return grpc.unary_stream_rpc_method_handler(
                _stream(handler.unary_stream, message, self._journal),
                _lenient(handler),
                handler.response_serializer,
            )
        return grpc.unary_unary_rpc_method_handler(
            _unary(handler.unary_unary, message), _lenient(handler), handler.response_serializer
        )


def _lenient(handler: Any) -> Callable[[bytes], Any]:
    def parse(raw: bytes) -> Any:
        with suppress(DecodeError):
            if len(raw) <= MAX_REQUEST_BYTES:
                return handler.request_deserializer(raw)
        return _Malformed(raw)

    return parse


def _unary(
    call: Callable[[Any, Any], Awaitable[Any]], message: Descriptor
) -> Callable[[Any, Any], Awaitable[Any]]:
    async def wrapped(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        try:
            if isinstance(request, _Malformed):
                raise explain(message, request.raw)
            return await call(request, context)
        except Exception as error:  # the edge: nothing is above it but gRPC
            return await _abort(context, error)

    return wrapped


def _stream(
    call: Callable[[Any, Any], Awaitable[None]], message: Descriptor, journal: Journal
) -> Callable[[Any, Any], Any]:
    async def wrapped(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        try:
            if isinstance(request, _Malformed):
                with journal.entry(context):
                    raise explain(message, request.raw)
            await call(request, context)
        except Exception as error:  # the edge: nothing is above it but gRPC
            await _abort(context, error)

    return wrapped


async def _abort(context: grpc.aio.ServicerContext[Any, Any], error: Exception) -> None:
    if not isinstance(error, WizardtpudError):
        log.exception("a call failed unexpectedly")
        error = WizardtpudError("internal error; the daemon's log has it")
    status = status_of(error)
    with departure_cancels():
        await context.abort(status.code, status.message, status.trailing_metadata)
