"""A full queue refuses, says when to come back, and takes requests again once there is room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.support.conversation import ask, asking, read_until
from tests.support.daemon_process import DaemonProcess
from tests.support.failure import Failure

CAPACITY = 3


@pytest.fixture(scope="module")
def endless_daemon(endless_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    scratch = tmp_path_factory.mktemp("daemon")
    with DaemonProcess(endless_bundle, scratch, "--queue-capacity", str(CAPACITY)) as process:
        yield process


@pytest.fixture
def full(endless: DaemonProcess) -> Iterator[list[Any]]:
    """The calls that fill the slot and the queue, the oldest first."""
    calls = [endless.stub.Generate(asking("a"))]
    read_until(calls[0], "started")
    for place in range(1, CAPACITY + 1):
        calls.append(endless.stub.Generate(asking("b")))
        endless.wait_until_running(1, queued=place)
    yield calls
    for call in calls:
        call.cancel()


def _refusal(daemon: DaemonProcess) -> Failure:
    with pytest.raises(grpc.RpcError) as caught:
        ask(daemon.stub, asking("one too many"))
    return Failure.of(caught.value)


def test_refuses_with_a_time_to_retry(endless: DaemonProcess, full: list[Any]) -> None:
    assert endless.status().queue_capacity == CAPACITY
    refused = endless.scrape().outcomes().get("queue_full", 0)
    failures = [_refusal(endless) for _ in range(5)]
    for failure in failures:
        assert failure.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert failure.reason == "wizardtpud/QUEUE_FULL"
        assert str(CAPACITY) in failure.message
        assert failure.retry_seconds is not None
        assert failure.retry_seconds > 0
    assert endless.scrape().outcomes()["queue_full"] == refused + 5
    endless.wait_until_running(1, queued=CAPACITY)


def test_a_place_that_becomes_free_is_given_away(endless: DaemonProcess, full: list[Any]) -> None:
    full[-1].cancel()
    endless.wait_until_running(1, queued=CAPACITY - 1)
    late = endless.stub.Generate(asking("c", max_new_tokens=2))
    endless.wait_until_running(1, queued=CAPACITY)
    assert _refusal(endless).reason == "wizardtpud/QUEUE_FULL"
    for call in full:
        call.cancel()
    assert read_until(late, "finished").usage.generated_tokens == 2


def test_a_full_queue_refuses_no_other_call(endless: DaemonProcess, full: list[Any]) -> None:
    """What cannot be served at all is told so, and what needs no device is served."""
    with pytest.raises(grpc.RpcError) as caught:
        ask(endless.stub, asking(""))
    assert Failure.of(caught.value).code is grpc.StatusCode.INVALID_ARGUMENT
    assert endless.status().queue_depth == CAPACITY
