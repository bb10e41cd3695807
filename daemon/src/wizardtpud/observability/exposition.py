"""The metrics over HTTP, for Prometheus to scrape."""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client import CollectorRegistry, start_http_server

from wizardtpud.errors import ConfigurationError


class _Handler(WSGIRequestHandler):
    """Serves a scrape and logs nothing. One that says nothing is given up, for each occupies a thread."""

    timeout = 10  # seconds

    def handle(self) -> None:
        with suppress(OSError):  # it stalls, or has left
            super().handle()

    def log_message(self, *_: object) -> None:
        pass


class Exposition:
    """An HTTP server of ``/metrics`` in a thread of its own, until closed.

    Args:
        host: name or address, IPv6 without brackets.
        port: 0 lets the system choose one.

    Attributes:
        port: the port that is bound.

    Raises:
        ConfigurationError: the address cannot be bound.
    """

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            raise ConfigurationError(
                f"metrics: cannot listen on {host}, port {port}: {error.strerror}; choose another address or off"
            ) from error
        self._server.RequestHandlerClass = _Handler
        self.port = self._server.server_port

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Exposition:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
