"""The standard health service, as any client of gRPC may call it."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from tests.support.eventually import PATIENCE


def check(channel: grpc.Channel, service: str = "") -> str:
    """The status of a service, or of the daemon as a whole, as in "SERVING". Raises grpc.RpcError."""
    call = channel.unary_unary(
        "/grpc.health.v1.Health/Check", HealthCheckRequest.SerializeToString, HealthCheckResponse.FromString
    )
    return _name(call(HealthCheckRequest(service=service), timeout=PATIENCE))


def watch(channel: grpc.Channel, service: str = "") -> Iterator[str]:
    """The status now, and again whenever it changes."""
    call = channel.unary_stream(
        "/grpc.health.v1.Health/Watch", HealthCheckRequest.SerializeToString, HealthCheckResponse.FromString
    )
    return map(_name, call(HealthCheckRequest(service=service), timeout=PATIENCE))


def _name(response: HealthCheckResponse) -> str:
    return HealthCheckResponse.ServingStatus.Name(response.status)
