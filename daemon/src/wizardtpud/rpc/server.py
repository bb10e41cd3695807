"""The gRPC server: our service, health and reflection, on every address that is configured."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from wizardtpu.v1 import generation_pb2 as wire
from wizardtpu.v1 import generation_pb2_grpc as stubs

from wizardtpud.errors import ConfigurationError
from wizardtpud.observability.logging import log
from wizardtpud.rpc.edge import Edge
from wizardtpud.rpc.servicer import GenerationServicer
from wizardtpud.rpc.serving import Serving

_UNIX = "unix:"
SERVICE = wire.DESCRIPTOR.services_by_name["GenerationService"]

_MAX_RECEIVED_BYTES = 16 << 20  # gRPC's refusal names no field, so it comes long after ours
_OPTIONS = (
    ("grpc.max_receive_message_length", _MAX_RECEIVED_BYTES),
    ("grpc.so_reuseport", 0),  # a second daemon on the same port is a mistake to report, not to share
    # A peer that vanished without a word is noticed, and its request cancelled, within half a minute.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Clients that wait in a long queue ping too.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
)


def make_server(servicer: GenerationServicer, serving: Serving, addresses: Iterable[str]) -> grpc.aio.Server:
    """A server bound to its addresses, not yet started.

    Raises:
        ConfigurationError: an address cannot be bound.
    """
    server = grpc.aio.server(interceptors=[Edge(SERVICE, servicer.journal)], options=_OPTIONS)
    stubs.add_GenerationServiceServicer_to_server(servicer, server)
    health_pb2_grpc.add_HealthServicer_to_server(serving.health, server)
    health_name = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
    reflection.enable_server_reflection((SERVICE.full_name, health_name, reflection.SERVICE_NAME), server)
    for address in addresses:
        _bind(server, address)
    return server


def _bind(server: grpc.aio.Server, address: str) -> None:
    if address.startswith(_UNIX) and _answers(address.removeprefix(_UNIX)):
        raise ConfigurationError(f"listen: {address} is in use by another process")
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise ConfigurationError(f"listen: cannot listen on {address}: {_obstacle(address)}") from error
    bound = address if address.startswith(_UNIX) else f"{address.rpartition(':')[0]}:{port}"
    log.info("listening", address=bound)


def _answers(path: str) -> bool:
    """Whether a process listens on a socket; gRPC would take its path away. One that nobody serves may go."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)  # a listener that is too busy to accept would keep us waiting
        return probe.connect_ex(path) in (0, errno.EAGAIN)


def _obstacle(address: str) -> str:
    """Why an address cannot be bound, which gRPC does not tell."""
    place: str | tuple[str, int]
    if address.startswith(_UNIX):
        family, place = socket.AF_UNIX, address.removeprefix(_UNIX)
    else:
        host, _, port = address.rpartition(":")
        family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
        place = (host.strip("[]"), int(port))
    with socket.socket(family) as probe:
        try:
            probe.bind(place)
        except OSError as error:
            return error.strerror or str(error)
    return "gRPC refuses it"
