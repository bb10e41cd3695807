"""Whether the daemon serves, told alike to gRPC's health checks, GetStatus and new requests."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from wizardtpud.errors import LoadingError
from wizardtpud.rpc.health import Health

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
        self.health = Health(services)
        self.state = ServingState.LOADING

    def become(self, state: ServingState) -> None:
        self.state = state
        self.health.set(serving=state is ServingState.SERVING)

    def check_loaded(self) -> None:
        """Raises LoadingError while the model is being loaded. A draining scheduler refuses by itself."""
        if self.state is ServingState.LOADING:
            raise LoadingError("the model is being loaded", _LOADING_RETRY_SECONDS)
