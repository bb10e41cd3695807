"""Where the daemon listens, and the channel that leads there."""

from __future__ import annotations

import os
from collections.abc import Sequence

ENVIRONMENT = "WIZARDTPU_ADDRESS"
DEFAULT = "127.0.0.1:50051"

ChannelOptions = Sequence[tuple[str, object]]

_OPTIONS: dict[str, object] = {
    # Finds out that the daemon's machine is gone while a request waits in the queue.
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 10_000,
    "grpc.http2.max_pings_without_data": 0,
    # A daemon that restarts is back in a moment; gRPC's own second would outlast the retries.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 5_000,
    # The daemon stands on this machine or on the local network, where a web proxy is only in the way.
    "grpc.enable_http_proxy": 0,
}


def resolve(address: str | None) -> str:
    """The address to use: the one given, else WIZARDTPU_ADDRESS, else 127.0.0.1:50051.

    Raises ValueError if it is neither `host:port` nor `unix:/path`.
    """
    chosen = address or os.environ.get(ENVIRONMENT) or DEFAULT
    if not _is_valid(chosen):
        raise ValueError(f"address {chosen!r} is neither host:port (such as {DEFAULT}) nor unix:/path")
    return chosen


def channel_options(extra: ChannelOptions) -> ChannelOptions:
    """The options of every channel, with those of `extra` in place of ours where both name one."""
    return list({**_OPTIONS, **dict(extra)}.items())


def _is_valid(address: str) -> bool:
    if address.startswith("unix:"):
        path = address.removeprefix("unix:")
        return bool(path) and (not path.startswith("//") or path.startswith("///"))  # unix://host/path is none
    host, _, port = address.rpartition(":")
    bare_ipv6 = ":" in host and not (host.startswith("[") and host.endswith("]"))
    return bool(host) and not bare_ipv6 and port.isascii() and port.isdigit() and 0 < int(port) < 65536
