from __future__ import annotations

import pytest
from wizardtpud.errors import QueueFullError
from wizardtpud.scheduling.events import Queued
from wizardtpud.scheduling.request import Request
from wizardtpud.scheduling.wait_estimate import WaitEstimate
from wizardtpud.scheduling.waiting_line import WaitingLine

from tests.support.recorded_request import Recorder, recorded_request


def line_of(count: int, capacity: int = 5) -> tuple[WaitingLine, list[Request], list[Recorder]]:
    line = WaitingLine(capacity, WaitEstimate(slots=1))
    requests, recorders = [], []
    for _ in range(count):
        request, recorder = recorded_request()
        line.append(request)
        requests.append(request)
        recorders.append(recorder)
    return line, requests, recorders


def positions(recorders: list[Recorder]) -> list[list[int]]:
    return [[queued.position for queued in recorder.of(Queued)] for recorder in recorders]


def test_a_newcomer_is_told_its_position_and_nobody_else_is() -> None:
    line, _, recorders = line_of(3)

    assert len(line) == 3
    assert positions(recorders) == [[1], [2], [3]]


def test_the_first_leaves_and_everybody_moves_up() -> None:
    line, requests, recorders = line_of(3)
    assert line.first is requests[0]

    line.pop()

    assert line.first is requests[1]
    assert positions(recorders) == [[1], [2, 1], [3, 2]]


@pytest.mark.parametrize(
    ("leaver", "told"),
    [(0, [[1], [2, 1], [3, 2]]), (1, [[1], [2], [3, 2]]), (2, [[1], [2], [3]])],
)
def test_those_behind_a_leaver_move_up(leaver: int, told: list[list[int]]) -> None:
    line, requests, recorders = line_of(3)

    assert line.remove(requests[leaver])

    assert positions(recorders) == told
    assert not line.remove(requests[leaver])
    assert len(line) == 2


def test_an_equal_request_is_another_one() -> None:
    line, _, recorders = line_of(2)

    assert not line.remove(recorded_request()[0])

    assert positions(recorders) == [[1], [2]]


def test_everybody_is_taken_out_without_a_word() -> None:
    line, requests, recorders = line_of(3)

    assert line.take_all() == requests

    assert len(line) == 0
    assert positions(recorders) == [[1], [2], [3]]


def test_a_full_line_refuses_until_somebody_leaves() -> None:
    line, requests, _ = line_of(2, capacity=2)
    request, recorder = recorded_request()

    with pytest.raises(QueueFullError, match="the queue is full: 2 requests are waiting"):
        line.append(request)
    assert recorder.events == []
    line.remove(requests[0])
    line.append(request)

    assert positions([recorder]) == [[2]]


def test_a_full_line_says_when_the_next_place_is_free() -> None:
    now = 0.0
    estimate = WaitEstimate(slots=1, clock=lambda: now)
    line = WaitingLine(0, estimate)
    estimate.started("experience")
    now = 8.0
    estimate.ended("experience")
    estimate.started("running")
    now = 11.0

    with pytest.raises(QueueFullError) as refusal:
        line.append(recorded_request()[0])

    assert refusal.value.retry_after == 5.0
