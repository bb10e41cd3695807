"""The daemon as a process of its own, started and stopped as a person or systemd would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
from typing_extensions import Self
from wizardtpu.v1 import generation_pb2 as wire
from wizardtpu.v1 import generation_pb2_grpc as stubs

from tests.support import health
from tests.support.eventually import PATIENCE, eventually
from tests.support.scrape import Scrape

COMMAND = (sys.executable, "-m", "wizardtpud.cli")
CHANNEL_OPTIONS = (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))
_ANY_PORT = "127.0.0.1:0"
# The buffer is large because many tests start a stream and leave it unread: only those about slow readers mind.
_SETTINGS = (
    *("--metrics", _ANY_PORT, "--log-format", "json", "--threads", "1"),
    *("--drain-seconds", "5", "--stream-buffer", "100000"),
)


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without settings of the daemon, and with `variables`."""
    return {k: v for k, v in os.environ.items() if not k.startswith("WIZARDTPU")} | variables


class DaemonProcess:
    """A daemon that serves a bundle; a context manager that waits until it serves, and never leaves it behind.

    Leaving the context stops it, unless the test has seen to its end, and it must end well. The log of one that
    did must hold nothing worse than information.

    Args:
        bundle: what to serve.
        scratch: an empty directory, for the log.
        arguments: more of the command line; they win over the harness's own.
        listen: addresses to listen on.
        variables: of the environment.
        command: what to run.

    Attributes:
        pid: of the process.
        exit_code: once it has ended.
        stub: of the service at the first address.
        expected_trouble: messages in its log that are worse than information, but what the test is about.
    """

    def __init__(
        self,
        bundle: Path,
        scratch: Path,
        *arguments: str,
        listen: Sequence[str] = (_ANY_PORT,),
        variables: Mapping[str, str] | None = None,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._stderr = scratch / "stderr"
        flags = [flag for address in listen for flag in ("--listen", address)]
        with self._stderr.open("wb") as stderr:
            self._process = subprocess.Popen(
                [*command, "--bundle", str(bundle), *_SETTINGS, *flags, *arguments],
                stdin=subprocess.DEVNULL,
                stderr=stderr,
                env=environment(**(variables or {})),
            )
        self.pid = self._process.pid
        self._channels: list[grpc.Channel] = []
        self._awaited = False
        self.expected_trouble: set[str] = set()

    def __enter__(self) -> Self:
        try:
            eventually(self._serves, "a daemon that serves")
            self.stub = stubs.GenerationServiceStub(self.channel())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for channel in self._channels:
            channel.close()
        try:
            if kind is None and not self._awaited:
                assert self.stop() == 0, self.stderr
            if kind is None and self.exit_code == 0:
                self._check_log()
        finally:
            self._end()

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    @property
    def stderr(self) -> str:
        return self._stderr.read_text()

    @property
    def log(self) -> list[dict[str, Any]]:
        """All complete records. Fails on a line that is none."""
        complete = self.stderr.rpartition("\n")[0]
        assert all(line.startswith("{") for line in complete.splitlines()), complete
        return [json.loads(line) for line in complete.splitlines()]

    def records(self, message: str) -> list[dict[str, Any]]:
        return [record for record in self.log if record["message"] == message]

    @property
    def addresses(self) -> list[str]:
        """Where it listens, in the order of the arguments."""
        return [record["address"] for record in self.records("listening")]

    @property
    def address(self) -> str:
        return self.addresses[0]

    @property
    def metrics_address(self) -> str:
        return str(self.records("serving metrics")[0]["address"])

    def channel(self, *options: tuple[str, int], address: str | None = None) -> grpc.Channel:
        """A connection of its own, closed at the end."""
        channel = grpc.insecure_channel(address or self.address, options=[*CHANNEL_OPTIONS, *options])
        self._channels.append(channel)
        return channel

    def status(self) -> wire.GetStatusResponse:
        return self.stub.GetStatus(wire.GetStatusRequest(), timeout=PATIENCE)

    def scrape(self) -> Scrape:
        return Scrape(self.metrics_address)

    def wait_until_running(self, count: int, queued: int = 0) -> wire.GetStatusResponse:
        """Waits until that many requests have the device and that many wait for it."""

        def reached() -> wire.GetStatusResponse | None:
            status = self.status()
            return status if (status.running, status.queue_depth) == (count, queued) else None

        return eventually(reached, f"{count} running and {queued} queued requests")

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        """Waits for the end of the process; returns its exit code."""
        self._awaited = True
        return self._process.wait(PATIENCE)

    def stop(self) -> int:
        """Asks it to stop and waits; returns the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """Ends it without a chance to say goodbye."""
        self._awaited = True
        self._process.kill()
        self._process.wait()

    def _serves(self) -> bool:
        assert self.exit_code is None, f"the daemon ended with {self.exit_code}: {self.stderr}"
        if not self.records("serving"):
            return False
        with grpc.insecure_channel(self.address, options=CHANNEL_OPTIONS) as channel:
            return health.check(channel) == "SERVING"

    def _check_log(self) -> None:
        serious = [record for record in self.log if record["level"] != "info"]
        trouble = [record for record in serious if record["message"] not in self.expected_trouble]
        assert not trouble, trouble

    def _end(self) -> None:
        if self._process.poll() is None:
            self.kill()
