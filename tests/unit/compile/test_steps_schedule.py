"""What may run at the same time, and what goes first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wizardtpu_compile.steps.plan import Plan
from wizardtpu_compile.steps.schedule import Schedule
from wizardtpu_compile.steps.step import Step

from tests.support.step_graphs import graphs


def step(name: str, *needs: str, memory: int = 0, **more: Any) -> Step:
    return Step(name, "digest", needs, memory, work=1, run=lambda _directory: {}, **more)


def layer(number: int, nets: int = 2) -> list[Step]:
    """Weights and each of the networks take one byte of disk, until all are added."""
    weights = step(f"{number}.weights", disk=1)
    made = [step(f"{number}.net{i}", weights.name, disk=1) for i in range(nets)]
    names = tuple(net.name for net in made)
    add = step(f"{number}.add", *names, discards=(weights.name, *names))
    return [weights, *made, add]


def schedule(
    steps: Sequence[Step],
    jobs: int = 2,
    memory: int = 10,
    done: Sequence[str] = (),
    disk: int | None = None,
) -> Schedule:
    plan = Plan(steps)
    return Schedule(plan, plan.steps.keys() - set(done), jobs, memory, disk)


def started(schedule: Schedule) -> list[str]:
    return [found.name for found in iter(schedule.start, None)]


@given(st.data(), graphs(), st.integers(1, 4), st.integers(0, 8), st.integers(0, 8))
def test_every_step_runs_once_within_all_limits(
    data: st.DataObject, steps: list[Step], jobs: int, limit: int, disk: int
) -> None:
    done = data.draw(st.sets(st.sampled_from([step.name for step in steps])))
    waiting = {step.name for step in steps} - done
    made = schedule(steps, jobs, limit, tuple(done), disk)
    while not made.complete:
        while found := made.start():
            waiting.remove(found.name)
            running = list(made.running.values())
            assert made.done.issuperset(found.needs)
            assert len(running) <= jobs
            assert len(running) == 1 or sum(step.memory for step in running) <= limit
            assert len(running) == 1 or not found.disk or on_disk(steps, made) <= disk
        made.finish(data.draw(st.sampled_from(sorted(made.running))))
    assert waiting == set()


def on_disk(steps: Sequence[Step], made: Schedule) -> int:
    """Bytes of what was begun and is not discarded."""
    gone = set(Plan(steps).discardable(made.done))
    return sum(step.disk for step in steps if step.name in {*made.done, *made.running} - gone)


def test_a_layer_is_ended_before_the_next_is_begun() -> None:
    made = schedule([*layer(0), *layer(1)], jobs=1)
    order = []
    while not made.complete:
        (name,) = started(made)
        order.append(name)
        made.finish(name)
    assert order == [step.name for step in (*layer(0), *layer(1))]


def test_a_layer_begun_goes_first() -> None:
    made = schedule([*layer(0), *layer(1), *layer(2)])
    assert started(made) == ["0.weights", "1.weights"]
    made.finish("1.weights")
    assert started(made) == ["1.net0"]
    made.finish("0.weights")
    made.finish("1.net0")
    assert started(made) == ["0.net0", "0.net1"]


def test_a_layer_is_begun_when_there_is_room_on_the_disk() -> None:
    made = schedule([*layer(0, nets=1), *layer(1, nets=1), *layer(2, nets=1)], jobs=2, disk=4)
    for name in ("0.weights", "1.weights", "0.net0", "1.net0"):
        assert name in started(made) or name in made.running
        made.finish(name)
    started(made)
    assert set(made.running) == {"0.add", "1.add"}  # and not "2.weights"
    made.finish("0.add")
    assert started(made) == ["2.weights"]


def test_what_an_earlier_run_has_left_on_the_disk_counts() -> None:
    begun = ["0.weights", "0.net0", "1.weights", "1.net0"]
    made = schedule([*layer(0, nets=1), *layer(1, nets=1), *layer(2, nets=1)], jobs=3, done=begun, disk=4)
    assert started(made) == ["0.add", "1.add"]


def test_a_step_that_waits_for_disk_is_not_overtaken_by_others_that_need_some() -> None:
    large, small = step("large", disk=3), step("small", disk=1)
    made = schedule([step("first", disk=2), large, small, step("none")], jobs=4, disk=4)
    assert started(made) == ["first", "none"]
    made.finish("none")
    assert started(made) == []
    made.finish("first")
    assert started(made) == ["large"]


def test_a_large_step_runs_alone() -> None:
    made = schedule([step("large", memory=100), step("small", memory=1), step("other", memory=1)], jobs=3)
    assert started(made) == ["large"]
    made.finish("large")
    assert started(made) == ["small", "other"]


def test_a_failed_step_does_not_count_as_done() -> None:
    made = schedule([step("a"), step("b", "a")])
    assert started(made) == ["a"]
    made.finish("a", done=False)
    assert (started(made), made.complete) == ([], False)


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_as_many_as_there_are_jobs(jobs: int) -> None:
    assert len(started(schedule([step(f"s{i}") for i in range(9)], jobs))) == jobs
