from __future__ import annotations

import heapq

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wizardtpud.scheduling.wait_estimate import WaitEstimate


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def estimate_with_experience(clock: Clock, seconds: float, slots: int = 1) -> WaitEstimate:
    estimate = WaitEstimate(slots, clock)
    estimate.started("experience")
    clock.now += seconds
    estimate.ended("experience")
    return estimate


def test_a_free_slot_means_no_wait(clock: Clock) -> None:
    estimate = WaitEstimate(2, clock)
    estimate.started("running")

    assert estimate.of(1) == 0.0
    assert estimate.of(2) is None


def test_without_experience_nothing_is_said(clock: Clock) -> None:
    estimate = WaitEstimate(1, clock)
    estimate.started("running")

    assert estimate.of(1) is None


def test_the_running_request_has_served_a_part_already(clock: Clock) -> None:
    estimate = estimate_with_experience(clock, 10.0)
    estimate.started("running")
    clock.now += 4.0

    assert [estimate.of(position) for position in (1, 2, 3)] == [6.0, 16.0, 26.0]


def test_a_request_that_takes_longer_than_usual_may_end_any_moment(clock: Clock) -> None:
    estimate = estimate_with_experience(clock, 10.0)
    estimate.started("running")
    clock.now += 40.0

    assert [estimate.of(position) for position in (1, 2)] == [0.0, 10.0]


def test_slots_become_free_in_the_order_they_were_taken(clock: Clock) -> None:
    estimate = estimate_with_experience(clock, 10.0, slots=2)
    estimate.started("older")
    clock.now += 3.0
    estimate.started("newer")
    clock.now += 2.0

    assert [estimate.of(position) for position in (1, 2, 3, 4)] == [5.0, 8.0, 15.0, 18.0]


def test_the_newest_durations_weigh_the_most(clock: Clock) -> None:
    estimate = estimate_with_experience(clock, 10.0)
    for seconds in (20.0, 20.0):
        estimate.started("running")
        clock.now += seconds
        estimate.ended("running")
    estimate.started("running")

    assert estimate.of(1) == pytest.approx(10.0 * 0.64 + 20.0 * 0.36)


@given(st.integers(1, 4), st.lists(st.integers(0, 9), max_size=4), st.integers(1, 12))
def test_requests_of_equal_duration_are_foreseen_exactly(slots: int, served: list[int], position: int) -> None:
    clock, duration = Clock(), 10.0
    estimate = estimate_with_experience(clock, duration, slots)
    now = clock.now
    ends = [now + duration - seconds for seconds in sorted(served[:slots], reverse=True)]
    for index, end in enumerate(ends):
        clock.now = end - duration
        estimate.started(index)
    clock.now = now

    free_at = [now] * (slots - len(ends)) + ends
    heapq.heapify(free_at)
    for _ in range(position):
        start = heapq.heappop(free_at)
        heapq.heappush(free_at, start + duration)

    assert estimate.of(position) == pytest.approx(start - now)
