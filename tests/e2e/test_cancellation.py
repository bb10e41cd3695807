"""Whoever leaves, in whatever state and whatever way, stops the device and makes room for the next."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from wizardtpu.v1 import generation_pb2 as wire
from wizardtpu.v1 import generation_pb2_grpc as stubs

from tests.support import deaf_client
from tests.support.conversation import ask, asking, read_until
from tests.support.daemon_process import DaemonProcess, environment
from tests.support.eventually import PATIENCE, eventually
from tests.support.failure import Failure

STATES = ("queued", "prefill", "decode")
CLIENT = Path(sys.executable).with_name("wizardtpu-client")
LONG_PROMPT = 30_000  # tokens: thousands of chunks


def _request(state: str) -> wire.GenerateRequest:
    if state == "prefill":
        return wire.GenerateRequest(token_ids=wire.TokenIds(ids=[65] * LONG_PROMPT))
    return asking("a")


@contextmanager
def _reached(daemon: DaemonProcess, state: str, timeout: float | None = None) -> Iterator[tuple[Any, str]]:
    """A call that has come to a state, and its id; if it is to be queued, behind another one."""
    with ExitStack() as stack:
        if state == "queued":
            blocker = daemon.stub.Generate(asking("b"))
            stack.callback(blocker.cancel)
            read_until(blocker, "started")
        call = daemon.stub.Generate(_request(state), timeout=timeout)
        stack.callback(call.cancel)
        request_id = next(call).queued.request_id
        if state != "queued":
            read_until(call, "started")
        if state == "decode":
            read_until(call, "delta")
        yield call, request_id


def _record(daemon: DaemonProcess, request_id: str) -> dict[str, Any]:
    """What the log says about the end of a request, which is awaited."""

    def found() -> dict[str, Any] | None:
        return next((r for r in daemon.records("request ended") if r["id"] == request_id), None)

    return eventually(found, "a record of the request's end")


def _state_at_end(record: dict[str, Any]) -> str:
    """How far the request came: a duration is known once it is over, that of decoding with the first token."""
    if "queue" not in record:
        return "queued"
    return "decode" if "prefill" in record else "prefill"


def _assert_device_is_free(daemon: DaemonProcess) -> None:
    """Nothing runs or waits, and what is generated from now on is only what is asked for from now on."""
    daemon.wait_until_running(0)
    scrape = daemon.scrape()
    assert scrape("wizardtpud_requests_running") == scrape("wizardtpud_queue_depth") == 0
    before = daemon.status()
    assert ask(daemon.stub, asking("next", max_new_tokens=7)).usage.generated_tokens == 7
    after = daemon.wait_until_running(0)
    assert after.generated_tokens == before.generated_tokens + 7
    assert after.finished_requests == before.finished_requests + 1


@pytest.mark.parametrize("state", STATES)
def test_client_cancels(endless: DaemonProcess, state: str) -> None:
    before = endless.scrape().outcomes()
    with _reached(endless, state) as (call, request_id):
        call.cancel()
        record = _record(endless, request_id)
    assert record["outcome"] == "cancelled"
    assert _state_at_end(record) == state
    assert call.code() is grpc.StatusCode.CANCELLED
    endless.wait_until_running(0)
    if state == "queued":
        assert record["generated_tokens"] == 0
        eventually(lambda: _more(endless, before) == {"cancelled": 2}, "the end of both requests")
    else:
        assert _more(endless, before) == {"cancelled": 1}
    _assert_device_is_free(endless)


def _more(daemon: DaemonProcess, before: dict[str, int]) -> dict[str, int]:
    """Requests that have ended since, by outcome."""
    now = daemon.scrape().outcomes()
    return {outcome: more for outcome in now if (more := now[outcome] - before.get(outcome, 0))}


def test_cancelling_in_the_queue_does_not_touch_the_running(endless: DaemonProcess) -> None:
    with _reached(endless, "decode") as (running, _):
        waiting = endless.stub.Generate(asking("b"))
        endless.wait_until_running(1, queued=1)
        waiting.cancel()
        endless.wait_until_running(1, queued=0)
        assert read_until(running, "delta") is not None
    _assert_device_is_free(endless)


@pytest.mark.parametrize("state", STATES)
def test_deadline_expires(endless: DaemonProcess, state: str) -> None:
    with _reached(endless, state, timeout=1.0) as (call, request_id):
        with pytest.raises(grpc.RpcError) as caught:
            for _ in call:
                pass
        assert Failure.of(caught.value).code is grpc.StatusCode.DEADLINE_EXCEEDED
        record = _record(endless, request_id)
        assert record["outcome"] == "deadline_exceeded"
        assert _state_at_end(record) == state
        if state == "queued":
            assert endless.status().running == 1, "the request before it goes on"
    _assert_device_is_free(endless)


def test_deadline_that_has_passed_before_the_call_arrives(endless: DaemonProcess) -> None:
    call = endless.stub.Generate(asking("a"), timeout=1e-6)
    with pytest.raises(grpc.RpcError) as caught:
        list(call)
    assert Failure.of(caught.value).code is grpc.StatusCode.DEADLINE_EXCEEDED
    _assert_device_is_free(endless)


@contextmanager
def _client_process(daemon: DaemonProcess, state: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command-line client, whose request has come to a state."""
    with ExitStack() as stack:
        if state == "queued":
            blocker = daemon.stub.Generate(asking("b"))
            stack.callback(blocker.cancel)
            read_until(blocker, "started")
        client = subprocess.Popen(
            [CLIENT, "--address", daemon.address, "--json", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
        )
        stack.enter_context(client)
        stack.callback(client.kill)
        assert client.stdin is not None
        client.stdin.write(b"\xc3\xa9" * (LONG_PROMPT // 2) if state == "prefill" else b"a")
        client.stdin.close()
        _read_client_until(client, {"queued": "queued", "prefill": "started", "decode": "delta"}[state])
        yield client


def _read_client_until(client: subprocess.Popen[bytes], event: str) -> None:
    assert client.stdout is not None
    for line in client.stdout:
        if f'"event": "{event}"'.encode() in line:
            return
    raise AssertionError(f"the client ended before {event}")


@pytest.mark.parametrize("state", STATES)
def test_client_is_killed(endless: DaemonProcess, state: str) -> None:
    """Without a word: the system closes its connection."""
    before = endless.scrape().outcomes()
    with _client_process(endless, state) as client:
        client.kill()
        still_running = 1 if state == "queued" else 0
        endless.wait_until_running(still_running)
        eventually(lambda: _more(endless, before) == {"cancelled": 1}, "the end of the killed client's request")
    _assert_device_is_free(endless)


def test_client_that_was_never_ready_to_read_leaves(endless: DaemonProcess) -> None:
    """What is being sent to it fails, which is no fault of the daemon: the log says nothing worse than usual."""
    before = endless.scrape().outcomes()
    method = "/wizardtpu.v1.GenerationService/Generate"
    with (
        closing(deaf_client.call(endless.address, "/grpc.health.v1.Health/Watch")),
        closing(deaf_client.call(endless.address, method, asking("a").SerializeToString())),
    ):
        endless.wait_until_running(1)
    endless.wait_until_running(0)
    eventually(lambda: _more(endless, before) == {"cancelled": 1}, "the end of the request of who has left")


def test_deadline_of_a_client_that_hangs(endless: DaemonProcess) -> None:
    """A stopped process can neither cancel nor close: the daemon keeps the time itself."""
    before = endless.scrape().outcomes()
    with _client_process(endless, "decode", "--timeout", "2") as client:
        client.send_signal(signal.SIGSTOP)
        endless.wait_until_running(0)
        eventually(lambda: _more(endless, before) == {"deadline_exceeded": 1}, "the end of the hanging request")
    _assert_device_is_free(endless)


def test_storm_of_cancellations(endless: DaemonProcess) -> None:
    """Leaving at any moment, many at a time, costs nobody else an answer and leaves nothing behind."""
    before = endless.status()
    moments = random.Random(1)
    patience = [moments.randrange(12) for _ in range(48)]

    def leave_after(events: int) -> bool:
        call = endless.stub.Generate(asking("a", max_new_tokens=8), timeout=PATIENCE)
        for _ in range(events):
            if next(call, None) is None:
                return True
        call.cancel()
        return False

    def stay(_: int) -> str:
        return ask(endless.stub, asking("a", max_new_tokens=8)).reason

    with ThreadPoolExecutor(16) as threads:
        leaving = threads.map(leave_after, patience)
        staying = threads.map(stay, range(16))
        assert list(staying) == ["MAX_TOKENS"] * 16
        completed = sum(leaving)
    after = endless.wait_until_running(0)
    assert 16 + completed <= after.finished_requests - before.finished_requests <= 16 + len(patience)
    _assert_device_is_free(endless)


def _slow_channel(daemon: DaemonProcess) -> stubs.GenerationServiceStub:
    """A client with a window of 64 KiB that does not grow."""
    return stubs.GenerationServiceStub(
        daemon.channel(("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65535))
    )


def _wordy() -> wire.GenerateRequest:
    """A request that fills a window soon."""
    response = wire.ResponseOptions(logprobs=True, top_logprobs=20)
    return wire.GenerateRequest(instruction="a", response=response)


@pytest.fixture(scope="module")
def strict_daemon(endless_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """It has two slots, and little patience with slow readers."""
    arguments = ("--stream-buffer", "500", "--slots", "2")
    with DaemonProcess(endless_bundle, tmp_path_factory.mktemp("strict"), *arguments) as process:
        yield process


def test_slow_reader_is_cut_off(strict_daemon: DaemonProcess) -> None:
    before = strict_daemon.scrape().outcomes()
    call = _slow_channel(strict_daemon).Generate(_wordy())
    read_until(call, "started")
    strict_daemon.wait_until_running(0)
    eventually(lambda: _more(strict_daemon, before) == {"slow_reader": 1}, "the end of the slow reader's request")
    _assert_device_is_free(strict_daemon)
    # What was sent before is still there to be read, whole and in order, and then the reason for the end.
    ids: list[int] = []
    with pytest.raises(grpc.RpcError) as caught:
        ids.extend(token.id for event in call for token in event.delta.tokens)
    failure = Failure.of(caught.value)
    assert (failure.code, failure.reason) == (grpc.StatusCode.ABORTED, "wizardtpud/SLOW_READER")
    assert ids == _first_ids(strict_daemon, len(ids))


def _first_ids(daemon: DaemonProcess, count: int) -> list[int]:
    request = asking("a", max_new_tokens=count)
    request.response.token_ids = True
    return ask(daemon.stub, request).token_ids


def test_slow_reader_does_not_hold_up_others(strict_daemon: DaemonProcess) -> None:
    slow = _slow_channel(strict_daemon).Generate(_wordy())
    read_until(slow, "started")
    assert ask(strict_daemon.stub, asking("a", max_new_tokens=2000)).reason == "MAX_TOKENS"
    slow.cancel()
    strict_daemon.wait_until_running(0)


def test_slow_reader_that_leaves_is_forgotten(strict_daemon: DaemonProcess) -> None:
    slow = _slow_channel(strict_daemon).Generate(_wordy())
    read_until(slow, "started")
    strict_daemon.wait_until_running(0)
    slow.cancel()
    _assert_device_is_free(strict_daemon)


def test_reader_that_is_slow_within_the_buffer_loses_nothing(endless: DaemonProcess) -> None:
    request = _wordy()
    request.stopping.max_new_tokens = 1000
    call = _slow_channel(endless).Generate(request)
    assert next(call).HasField("queued")
    endless.wait_until_running(0)
    rest = [event for event in call if event.HasField("delta")]
    assert [t.id for e in rest for t in e.delta.tokens] == _first_ids(endless, 1000)
