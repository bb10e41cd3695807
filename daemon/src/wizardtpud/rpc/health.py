"""grpc.health.v1 for the daemon as a whole and for its services."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from wizardtpud.rpc.departure import departure_cancels

_Answer = health_pb2.HealthCheckResponse


class Health(health_pb2_grpc.HealthServicer):
    """Tells whoever asks, and whoever watches, whether the daemon serves.

    The watchers of the servicer that gRPC ships share a lock, which one of them that does not read its stream
    holds forever: the others, and the daemon's own changes of state, would wait for it.

    Args:
        services: full names of the services whose health it is, besides the daemon's as a whole.
    """

    def __init__(self, services: Iterable[str]) -> None:
        self._services = {"", *services}
        self._serving = False
        self._changed = asyncio.Event()

    def set(self, *, serving: bool) -> None:
        """Changes the health of all services; waits for nobody."""
        self._serving = serving
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> _Answer:
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no service {request.service!r}")
        return self._answer(request.service)

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Any) -> None:
        told = None
        while True:
            changed = self._changed
            answer = self._answer(request.service)
            if answer != told:
                with departure_cancels():
                    await context.write(answer)
                told = answer
            await changed.wait()

    def _answer(self, service: str) -> _Answer:
        if service not in self._services:
            return _Answer(status=_Answer.SERVICE_UNKNOWN)
        return _Answer(status=_Answer.SERVING if self._serving else _Answer.NOT_SERVING)
