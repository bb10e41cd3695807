"""Clients that leave while something is being sent to them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import grpc


@contextmanager
def departure_cancels() -> Iterator[None]:
    """Spans what is sent to a client: if it has left, this is a cancellation, though gRPC raises an error.

    Raises:
        asyncio.CancelledError: the client has left.
    """
    try:
        yield
    except grpc.aio.InternalError:
        raise asyncio.CancelledError from None
