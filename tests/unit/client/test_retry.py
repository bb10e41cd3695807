"""Calls are tried again only where that is safe and can help."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace

import pytest
import wizardtpu_client as w
from grpc import StatusCode
from wizardtpu_client.retry import Attempts

from tests.support.scripted_server import ScriptedServer, answer, delta, play, queued, refuse, started

QUICK = w.Retry(attempts=3, initial=0.01)
full = refuse(StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")


def test_a_refused_request_is_sent_again_unchanged(server: ScriptedServer) -> None:
    server.plays(play(queued(9), full), play(full), answer("Hello."))
    with w.Client(server.address, retry=QUICK) as client:
        assert client.generate("x", temperature=0.5, seed=3).text() == "Hello."
    first, second, third = server.service.requests
    assert first == second == third


def test_attempts_are_bounded(server: ScriptedServer) -> None:
    server.plays(play(full))
    with w.Client(server.address, retry=QUICK) as client, pytest.raises(w.QueueFull):
        client.generate("x").text()
    assert len(server.service.requests) == 3


@pytest.mark.parametrize("sent", [[started()], [started(), delta("Hel")]], ids=["started", "delta"])
def test_nothing_is_repeated_once_the_answer_has_begun(server: ScriptedServer, sent: list[object]) -> None:
    stopped = refuse(StatusCode.UNAVAILABLE, "STOPPED")
    server.plays(play(queued(1), *sent, stopped))  # type: ignore[arg-type]
    with w.Client(server.address, retry=QUICK) as client, pytest.raises(w.ShuttingDown):
        client.generate("x").text()
    assert len(server.service.requests) == 1


@pytest.mark.parametrize(
    "code", [StatusCode.INVALID_ARGUMENT, StatusCode.INTERNAL, StatusCode.ABORTED, StatusCode.FAILED_PRECONDITION]
)
def test_other_failures_are_final(server: ScriptedServer, code: StatusCode) -> None:
    server.plays(play(refuse(code, "ANY")))
    with w.Client(server.address, retry=QUICK) as client, pytest.raises(w.WizardTPUError):
        client.generate("x").text()
    assert len(server.service.requests) == 1


def test_unary_calls_are_retried_too(server: ScriptedServer) -> None:
    refusals = [refuse(StatusCode.UNAVAILABLE, "LOADING")] * 2
    server.service.unary = lambda context: refusals.pop()(context) if refusals else None
    with w.Client(server.address, retry=QUICK) as client:
        assert client.tokenize("x").ids == (5, 6)
    assert len(server.service.requests) == 3


async def test_asyncio_retries_by_the_same_rule(server: ScriptedServer) -> None:
    server.plays(play(full), play(full), answer("Hello."))
    async with w.AsyncClient(server.address, retry=QUICK) as client:
        assert await client.generate("x").text() == "Hello."
    assert len(server.service.requests) == 3


def waits(retry: w.Retry, failure: w.WizardTPUError) -> list[float]:
    """The waits of a call that always fails in the same way."""
    told: list[float] = []
    attempts = Attempts(replace(retry, on_wait=lambda _failure, wait: told.append(wait)), None)
    with contextlib.suppress(type(failure)):
        while True:
            attempts.wait_after(failure)
    return told


def busy(retry_after: float | None) -> w.Busy:
    return w.Busy("later", code=StatusCode.UNAVAILABLE, retry_after=retry_after)


def test_waits_double_up_to_the_maximum_with_jitter() -> None:
    retry = w.Retry(attempts=6, initial=1, maximum=4)
    seen = [waits(retry, busy(None)) for _ in range(50)]
    for column, backoff in zip(zip(*seen, strict=True), [1, 2, 4, 4, 4], strict=True):
        assert all(backoff / 2 <= wait <= backoff for wait in column)
        assert len(set(column)) > 1


def test_the_daemons_advice_is_added() -> None:
    (wait,) = waits(w.Retry(attempts=2, initial=0.1), busy(3.0))
    assert 3.05 <= wait <= 3.1


def test_advice_beyond_the_maximum_ends_the_call() -> None:
    assert waits(w.Retry(maximum=10), busy(11.0)) == []


def test_one_attempt_never_waits() -> None:
    assert waits(w.Retry(attempts=1), busy(None)) == []


def test_no_wait_outlasts_the_timeout() -> None:
    attempts = Attempts(w.Retry(initial=5), timeout=1)
    with pytest.raises(w.Busy):
        attempts.wait_after(busy(None))


def test_the_timeout_covers_all_attempts(server: ScriptedServer) -> None:
    server.plays(play(lambda _context: time.sleep(0.1), full))
    retry = w.Retry(attempts=1000, initial=0.01, maximum=0.01)
    with w.Client(server.address, retry=retry) as client, pytest.raises((w.QueueFull, w.DeadlineExceeded)):
        client.generate("x", timeout=0.5).text()
    assert 1 < len(server.service.requests) < 10
