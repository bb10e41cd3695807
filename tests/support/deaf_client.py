"""A client that lets the server send it nothing, in bare HTTP/2 frames (RFC 9113): no gRPC library does."""

from __future__ import annotations

import socket
import struct

_DATA, _HEADERS, _SETTINGS = 0, 1, 4
_END_STREAM, _END_HEADERS = 1, 4
_INITIAL_WINDOW_SIZE = 4


def call(address: str, method: str, message: bytes = b"") -> socket.socket:
    """Calls a method (`/service/Method`), with a window of 0 bytes for the answer; close the socket to leave."""
    host, _, port = address.rpartition(":")
    connection = socket.create_connection((host, int(port)))
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    connection.sendall(_frame(_SETTINGS, 0, 0, struct.pack(">HI", _INITIAL_WINDOW_SIZE, 0)))
    fields = {":method": "POST", ":scheme": "http", ":path": method, ":authority": address}
    fields |= {"content-type": "application/grpc", "te": "trailers"}
    connection.sendall(_frame(_HEADERS, _END_HEADERS, 1, b"".join(_literal(*field) for field in fields.items())))
    connection.sendall(_frame(_DATA, _END_STREAM, 1, struct.pack(">BI", 0, len(message)) + message))
    return connection


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _literal(name: str, value: str) -> bytes:
    """A header that is not indexed (RFC 7541, 6.2.2); both parts shorter than 127 bytes."""
    return b"\0" + b"".join(bytes([len(part)]) + part.encode() for part in (name, value))
