"""Several copies of the model in one daemon, fed from one line."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from wizardtpu.v1 import generation_pb2 as wire

from tests.support.conversation import ask, asking, read_until
from tests.support.daemon_process import DaemonProcess
from tests.support.eventually import eventually


@pytest.fixture
def pair(endless_bundle: Path, tmp_path: Path) -> Iterator[DaemonProcess]:
    with DaemonProcess(endless_bundle, tmp_path, "--devices", "0 1") as daemon:
        yield daemon


def test_they_work_at_the_same_time(pair: DaemonProcess) -> None:
    calls = [pair.stub.Generate(asking(text)) for text in ("a", "b")]
    for call in calls * 2:
        assert read_until(call, "delta") is not None

    status = pair.wait_until_running(2)
    assert (status.slots, status.queue_depth) == (2, 0)
    scrape = pair.scrape()
    assert (scrape("wizardtpud_slots"), scrape("wizardtpud_requests_running")) == (2, 2)
    for call in calls:
        call.cancel()


def test_whoever_waits_longest_is_next_on_either(pair: DaemonProcess) -> None:
    running = [pair.stub.Generate(asking("a")) for _ in range(2)]
    pair.wait_until_running(2)
    waiting = []
    for count in (1, 2, 3, 4):
        waiting.append(pair.stub.Generate(asking("b")))
        pair.wait_until_running(2, queued=count)

    for leaving, following in zip([*running, *waiting[:2]], waiting, strict=True):
        leaving.cancel()
        read_until(following, "started")
        behind = waiting[waiting.index(following) + 1 :]
        pair.wait_until_running(2, queued=len(behind))
    for call in waiting[2:]:
        call.cancel()
    pair.wait_until_running(0)


def test_they_give_the_same_answers(pair: DaemonProcess) -> None:
    def answer(_: int) -> list[int]:
        request = asking("quicksort", max_new_tokens=50)
        request.response.CopyFrom(wire.ResponseOptions(token_ids=True))
        return ask(pair.stub, request).token_ids

    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(answer, range(12)))

    assert all(each == answers[0] for each in answers)
    assert len(answers[0]) == 50


def test_both_drain(endless_bundle: Path, tmp_path: Path) -> None:
    with DaemonProcess(endless_bundle, tmp_path, "--devices", "0 1", "--drain-seconds", "1000") as daemon:
        calls = [daemon.stub.Generate(asking("a", max_new_tokens=500)) for _ in range(5)]
        daemon.wait_until_running(2, queued=3)
        daemon.signal(signal.SIGTERM)
        eventually(lambda: daemon.records("draining"), "a record of draining")
        for call in calls:
            assert read_until(call, "finished").usage.generated_tokens == 500
        assert daemon.wait() == 0
