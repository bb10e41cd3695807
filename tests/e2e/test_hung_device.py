"""A device that does not come back: whoever waits is told, and the daemon ends, though a thread of it cannot."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import grpc
import pytest
from wizardtpu.v1 import generation_pb2 as wire

from tests.support import hanging_daemon, health
from tests.support.conversation import asking, read_until
from tests.support.daemon_process import DaemonProcess
from tests.support.failure import Failure

HANGING = wire.GenerateRequest(token_ids=wire.TokenIds(ids=[5, hanging_daemon.HANG]))


def _failure(call: Any) -> Failure:
    with pytest.raises(grpc.RpcError) as caught:
        for _ in call:
            pass
    return Failure.of(caught.value)


def _is_told(failure: Failure) -> bool:
    return (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "wizardtpud/DEVICE_HUNG")


def test_everyone_is_told_and_the_daemon_ends(endless_bundle: Path, tmp_path: Path) -> None:
    options = ("--step-seconds", "1", "--devices", "0 1")
    with DaemonProcess(endless_bundle, tmp_path, *options, command=hanging_daemon.COMMAND) as daemon:
        watch = health.watch(daemon.channel())
        assert next(watch) == "SERVING"
        other = daemon.stub.Generate(asking("a"))
        read_until(other, "started")
        hanging = daemon.stub.Generate(HANGING)
        read_until(hanging, "started")
        waiting = daemon.stub.Generate(asking("b"))

        assert all(_is_told(_failure(call)) for call in (hanging, other, waiting))
        assert next(watch) == "NOT_SERVING"
        assert daemon.wait() == 1
        *_, last = daemon.stderr.splitlines()
        assert last.startswith("wizardtpud: a step on device ")


def test_it_is_noticed_while_the_daemon_stops(endless_bundle: Path, tmp_path: Path) -> None:
    options = ("--step-seconds", "1", "--drain-seconds", "0")
    with DaemonProcess(endless_bundle, tmp_path, *options, command=hanging_daemon.COMMAND) as daemon:
        hanging = daemon.stub.Generate(HANGING)
        read_until(hanging, "started")

        daemon.signal(signal.SIGTERM)

        assert _failure(hanging).code == grpc.StatusCode.UNAVAILABLE
        assert daemon.wait() == 1
