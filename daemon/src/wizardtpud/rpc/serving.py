"""Whether the daemon serves, told alike to gRPC's health checks, GetStatus and new requests."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from grpc_health.v1 import health, health_pb2

from wizardtpud.errors import LoadingError

_LOADING_RETRY_SECONDS = 2.0


class ServingState(Enum):
    """What the daemon is doing."""

    LOADING = "loading"
    SERVING = "serving"
    DRAINING = "draining"


class Serving:
    """The state, and the health service that publishes it.

    Args:
        services: full names of the services whose health it is, besides the daemon's as a whole.
    """

    def __init__(self, services: Iterable[str]) -> None:
        self.health = health.aio.HealthServicer()
        self.state = ServingState.LOADING
        self._services = (health.OVERALL_HEALTH, *services)

    async def become(self, state: ServingState) -> None:
        self.state = state
        answer = health_pb2.HealthCheckResponse
        status = answer.SERVING if state is ServingState.SERVING else answer.NOT_SERVING
        for service in self._services:
            await self.health.set(service, status)

    def check_loaded(self) -> None:
        """Raises LoadingError while the model is being loaded. A draining scheduler refuses by itself."""
        if self.state is ServingState.LOADING:
            raise LoadingError("the model is being loaded", _LOADING_RETRY_SECONDS)
