from __future__ import annotations

import logging
from typing import Any

import pytest
from wizardtpud.service.progress_log import ProgressLog

TOTAL = 200_000_000


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def logs(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "wizardtpud")
    return caplog


def shown(logs: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [record.fields for record in logs.records]  # type: ignore[attr-defined]


def test_quick_work_is_not_worth_a_line(clock: Clock, logs: pytest.LogCaptureFixture) -> None:
    progress = ProgressLog("loading the model", clock)

    for done in (1, TOTAL // 2, TOTAL):
        clock.now += 0.6
        progress(done, TOTAL)

    assert logs.records == []


def test_long_work_has_a_line_every_two_seconds(clock: Clock, logs: pytest.LogCaptureFixture) -> None:
    progress = ProgressLog("loading the model", clock)

    for step in range(1, 9):
        clock.now += 0.5
        progress(TOTAL * step // 8, TOTAL)

    assert {record.message for record in logs.records} == {"loading the model"}
    assert shown(logs) == [{"percent": 50, "megabytes": 100}, {"percent": 100, "megabytes": 200}]


def test_nothing_to_do_is_all_done(clock: Clock, logs: pytest.LogCaptureFixture) -> None:
    progress = ProgressLog("checking the bundle", clock)
    clock.now += 2.0

    progress(0, 0)

    assert shown(logs) == [{"percent": 100, "megabytes": 0}]
