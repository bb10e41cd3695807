"""Addresses to listen on."""

from __future__ import annotations

import os
import re
from ipaddress import AddressValueError, IPv6Address

from typing_extensions import Self

_LONGEST_UNIX_PATH = 107  # bytes: sockaddr_un holds 108, with the final zero
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


class Address(str):
    """Where a server listens, in the spelling of gRPC: a `TcpAddress` or a `UnixAddress`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Address:
        """Reads an address.

        Raises:
            ValueError: it is none; the text says why.
        """
        return UnixAddress.parse(text) if text.startswith("unix:") else TcpAddress.parse(text)


class TcpAddress(Address):
    """``host:port`` or ``[IPv6]:port``; port 0 lets the system choose one."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        host, colon, port = text.rpartition(":")
        if not colon or not host:
            raise ValueError("a host and a port are needed, as in 127.0.0.1:50051")
        if not (port.isascii() and port.isdigit() and int(port) <= 65535):
            raise ValueError("the port must be a number from 0 to 65535")
        _check_host(host)
        return cls(text)

    @property
    def host(self) -> str:
        """The host name or address, without brackets."""
        return self.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.rpartition(":")[2])


class UnixAddress(Address):
    """``unix:`` and the absolute path of a socket in the file system."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        path = cls(text).path
        if not path.startswith("/") or path.endswith("/"):
            raise ValueError("the path of a socket must be absolute, as in unix:/run/wizardtpud/socket")
        if len(os.fsencode(path)) > _LONGEST_UNIX_PATH:
            raise ValueError(f"the path of a socket may have at most {_LONGEST_UNIX_PATH} bytes")
        return cls(text)

    @property
    def path(self) -> str:
        return self.removeprefix("unix:")


def _check_host(host: str) -> None:
    if host.startswith("[") and host.endswith("]"):
        _check_ipv6(host[1:-1])
    elif ":" in host:
        raise ValueError(f"an IPv6 address needs brackets, as in [{host}]:50051")
    elif not _HOST.fullmatch(host):
        raise ValueError(f"{host!r} is not a host name or address")


def _check_ipv6(text: str) -> None:
    try:
        IPv6Address(text)
    except AddressValueError as error:
        raise ValueError(f"{text!r} is not an IPv6 address") from error
