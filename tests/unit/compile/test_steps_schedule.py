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
    weights = step(f"{number}.weights")
    made = [step(f"{number}.net{i}", weights.name) for i in range(nets)]
    names = tuple(net.name for net in made)
    add = step(f"{number}.add", *names, exclusive="bundle", discards=(weights.name, *names))
    return [weights, *made, add]


def schedule(steps: Sequence[Step], jobs: int = 2, memory: int = 10, done: Sequence[str] = ()) -> Schedule:
    plan = Plan(steps)
    return Schedule(plan, plan.steps.keys() - set(done), jobs, memory)


def started(schedule: Schedule) -> list[str]:
    return [found.name for found in iter(schedule.start, None)]


@given(st.data(), graphs(), st.integers(1, 4), st.integers(0, 8))
def test_every_step_runs_once_within_all_limits(
    data: st.DataObject, steps: list[Step], jobs: int, limit: int
) -> None:
    done = data.draw(st.sets(st.sampled_from([step.name for step in steps])))
    waiting = {step.name for step in steps} - done
    made = schedule(steps, jobs, limit, tuple(done))
    while not made.complete:
        for name in started(made):
            waiting.remove(name)
            running = list(made.running.values())
            assert made.done.issuperset(made.running[name].needs)
            assert len(running) <= jobs
            assert len(running) == 1 or sum(step.memory for step in running) <= limit
            exclusive = [step.exclusive for step in running if step.exclusive]
            assert len(exclusive) == len(set(exclusive))
        made.finish(data.draw(st.sampled_from(sorted(made.running))))
    assert waiting == set()


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


def test_no_more_layers_are_begun_than_there_are_jobs() -> None:
    made = schedule([*layer(0, nets=1), *layer(1, nets=1), *layer(2, nets=1)], jobs=2)
    for name in ("0.weights", "1.weights", "0.net0", "1.net0"):
        assert name in started(made) or name in made.running
        made.finish(name)
    # 1.add waits for the bundle's file, and 2.weights for room on the disk.
    assert (started(made), list(made.running)) == ([], ["0.add"])
    made.finish("0.add")
    assert started(made) == ["1.add", "2.weights"]


def test_layers_that_an_earlier_run_has_begun_count() -> None:
    begun = ["0.weights", "0.net0", "1.weights", "1.net0"]
    made = schedule([*layer(0, nets=1), *layer(1, nets=1), *layer(2, nets=1)], jobs=2, done=begun)
    assert started(made) == ["0.add"]


def test_more_layers_begun_than_jobs_now() -> None:
    begun = [f"{number}.weights" for number in range(3)]
    made = schedule([*layer(0), *layer(1), *layer(2)], jobs=2, done=begun)
    assert started(made) == ["0.net0", "0.net1"]


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
