"""Stopping: what was accepted is finished or ended with a clear status, and nothing new is taken."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import grpc
import pytest
from wizardtpu.v1 import generation_pb2 as wire
from wizardtpu.v1 import generation_pb2_grpc as stubs

from tests.support import deaf_client, health
from tests.support.conversation import Answer, ask, asking, read_until
from tests.support.daemon_process import DaemonProcess
from tests.support.eventually import eventually
from tests.support.failure import Failure

Start = Callable[..., AbstractContextManager[DaemonProcess]]


@pytest.fixture
def start(endless_bundle: Path, tmp_path: Path) -> Start:
    """Starts a daemon that lets requests finish for a given time once it is told to stop."""

    def start(drain_seconds: float, *arguments: str) -> DaemonProcess:
        return DaemonProcess(endless_bundle, tmp_path, "--drain-seconds", str(drain_seconds), *arguments)

    return start


def _draining(daemon: DaemonProcess, number: signal.Signals = signal.SIGTERM) -> None:
    """Asks it to stop, and waits until it has noticed."""
    daemon.signal(number)
    eventually(lambda: daemon.records("draining"), "a record of draining")


def _failure(events: Iterator[wire.GenerateResponse]) -> Failure:
    with pytest.raises(grpc.RpcError) as caught:
        for _ in events:
            pass
    return Failure.of(caught.value)


def _is_stopped(failure: Failure) -> bool:
    return (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "wizardtpud/STOPPED")


def test_stops_while_it_loads(endless_bundle: Path, tmp_path: Path) -> None:
    daemon = DaemonProcess(endless_bundle, tmp_path)
    try:
        eventually(lambda: daemon.records("listening"), "a daemon that listens")
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert daemon.records("stopped")
    finally:
        daemon.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_idle_daemon_stops_at_once(start: Start, number: signal.Signals) -> None:
    with start(1000) as daemon:
        daemon.signal(number)
        assert daemon.wait() == 0
        assert daemon.records("stopped")


def test_accepted_requests_finish(start: Start) -> None:
    with start(1000) as daemon:
        running = daemon.stub.Generate(asking("a", max_new_tokens=500))
        read_until(running, "started")
        queued = [daemon.stub.Generate(asking("b", max_new_tokens=20)) for _ in range(3)]
        daemon.wait_until_running(1, queued=3)
        _draining(daemon)
        assert read_until(running, "finished").usage.generated_tokens == 500
        for call in queued:
            answer = Answer.read(call)
            assert (answer.reason, answer.usage.generated_tokens) == ("MAX_TOKENS", 20)
        assert daemon.wait() == 0


def test_new_requests_are_turned_away(start: Start) -> None:
    """Also those on a new connection: it still listens, so that whoever comes learns what is going on."""
    with start(1000) as daemon:
        running = daemon.stub.Generate(asking("a"))
        read_until(running, "started")
        _draining(daemon)
        newcomer = stubs.GenerationServiceStub(daemon.channel())
        for stub in (daemon.stub, newcomer):
            failure = _failure(stub.Generate(asking("late")))
            assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "wizardtpud/DRAINING")
            assert failure.retry_seconds
        status = daemon.status()
        assert (status.state, status.running) == (wire.SERVING_STATE_DRAINING, 1)
        assert daemon.scrape().outcomes() == {"draining": 2}
        running.cancel()
        assert daemon.wait() == 0


def test_health_says_not_serving(start: Start) -> None:
    """Whoever asks, and whoever watches; a watch does not keep the daemon from stopping."""
    with start(1000) as daemon:
        channel = daemon.channel()
        services = ("", "wizardtpu.v1.GenerationService")
        watches = [health.watch(channel, service) for service in services]
        assert [next(watch) for watch in watches] == ["SERVING", "SERVING"]
        running = daemon.stub.Generate(asking("a"))
        read_until(running, "started")
        _draining(daemon)
        assert [next(watch) for watch in watches] == ["NOT_SERVING", "NOT_SERVING"]
        assert [health.check(channel, service) for service in services] == ["NOT_SERVING", "NOT_SERVING"]
        running.cancel()
        assert daemon.wait() == 0


def test_watcher_that_does_not_read_holds_up_no_stop(start: Start) -> None:
    with start(1000) as daemon, closing(deaf_client.call(daemon.address, "/grpc.health.v1.Health/Watch")):
        watch = health.watch(daemon.channel())
        assert next(watch) == "SERVING"
        running = daemon.stub.Generate(asking("a"))
        read_until(running, "started")
        _draining(daemon)
        assert next(watch) == "NOT_SERVING"
        running.cancel()
        assert daemon.wait() == 0


def test_drain_limit_ends_what_is_left(start: Start) -> None:
    with start(0.2) as daemon:
        running, queued = daemon.stub.Generate(asking("a")), daemon.stub.Generate(asking("b"))
        daemon.wait_until_running(1, queued=1)
        _draining(daemon)
        failures = [_failure(running), _failure(queued)]
        assert all(map(_is_stopped, failures))
        assert all(failure.retry_seconds for failure in failures)
        assert daemon.wait() == 0
        outcomes = [record["outcome"] for record in daemon.records("request ended")]
        assert outcomes == ["stopped", "stopped"]


def test_no_time_to_drain(start: Start) -> None:
    """Stops at once, even while a long prompt is being read."""
    with start(0) as daemon:
        running = daemon.stub.Generate(wire.GenerateRequest(token_ids=wire.TokenIds(ids=[65] * 30_000)))
        read_until(running, "started")
        daemon.signal(signal.SIGTERM)
        assert _is_stopped(_failure(running))
        assert daemon.wait() == 0
        assert daemon.records("request ended")[0]["generated_tokens"] == 0


def test_second_signal_ends_at_once(start: Start) -> None:
    with start(1000) as daemon:
        running = daemon.stub.Generate(asking("a"))
        read_until(running, "started")
        _draining(daemon)
        assert read_until(running, "delta") is not None, "the first signal alone ends nothing"
        daemon.signal(signal.SIGINT)
        assert _is_stopped(_failure(running))
        assert daemon.wait() == 0


def test_reader_that_does_not_read_holds_up_no_stop(start: Start) -> None:
    with start(0, "--stream-buffer", "100000") as daemon:
        options = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65535))
        request = asking("a", max_new_tokens=800)
        request.response.CopyFrom(wire.ResponseOptions(logprobs=True, top_logprobs=20))
        call = stubs.GenerationServiceStub(daemon.channel(*options)).Generate(request)
        read_until(call, "started")
        daemon.wait_until_running(0)
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0


def test_drain_under_load(start: Start) -> None:
    """Of many clients, each gets a whole answer or is told that the daemon stops; none is left hanging."""

    def outcome(_: int) -> str:
        try:
            return ask(daemon.stub, asking("a", max_new_tokens=40)).reason
        except grpc.RpcError as error:
            failure: Any = Failure.of(error)
            assert failure.code is grpc.StatusCode.UNAVAILABLE, failure
            return str(failure.reason)

    with start(1000, "--slots", "2") as daemon, ThreadPoolExecutor(12) as clients:
        accepted = [clients.submit(outcome, number) for number in range(12)]
        eventually(lambda: daemon.status().finished_requests >= 3, "some finished requests")
        _draining(daemon)
        late = clients.submit(outcome, -1)
        assert [future.result() for future in accepted] == ["MAX_TOKENS"] * 12
        assert late.result() in ("wizardtpud/DRAINING", "None")
        assert daemon.wait() == 0
