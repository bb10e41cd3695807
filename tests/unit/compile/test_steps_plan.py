"""Which steps make a plan, and what a digest covers."""

from __future__ import annotations

import dataclasses

import pytest
from wizardtpu_compile.steps.plan import Plan
from wizardtpu_compile.steps.step import Step


def step(name: str, *needs: str, digest: str = "1", discards: tuple[str, ...] = ()) -> Step:
    return Step(name, digest, needs, memory=0, work=1, run=lambda _directory: {}, discards=discards)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", ".hidden", "a b", "a\n"])
def test_a_name_that_is_no_directory(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a step"):
        step(name)


def test_names_are_unique() -> None:
    with pytest.raises(ValueError, match="two steps are named a"):
        Plan([step("a"), step("a")])


@pytest.mark.parametrize("wrong", [step("a", "b"), step("a", "a"), step("a", discards=("b",))])
def test_what_a_step_names_comes_before_it(wrong: Step) -> None:
    with pytest.raises(ValueError, match=r"a needs or discards ., which does not come before it"):
        Plan([wrong, step("b")])


def test_a_digest_covers_all_steps_before_it() -> None:
    steps = [step("a"), step("b", "a"), step("c", "b"), step("d")]
    before = Plan(steps).digests
    after = Plan([dataclasses.replace(steps[0], digest="2"), *steps[1:]]).digests
    assert [name for name in before if before[name] != after[name]] == ["a", "b", "c"]


def test_a_digest_does_not_cover_how_a_step_is_run() -> None:
    a = step("a")
    other = dataclasses.replace(a, memory=5, work=5, disk=5, run=lambda _directory: {"other": 1})
    assert Plan([a]).digests == Plan([other]).digests


def test_files_go_when_the_last_step_that_needs_them_is_done() -> None:
    plan = Plan([step("a"), step("b", "a", discards=("a",)), step("c", "a")])
    assert list(plan.discardable({"a", "b"})) == []
    assert list(plan.discardable({"a", "c"})) == []
    assert list(plan.discardable({"a", "b", "c"})) == ["a"]


def test_files_of_a_step_that_is_not_done_stay() -> None:
    plan = Plan([step("a"), step("b", discards=("a",))])
    assert list(plan.discardable({"b"})) == []
    assert list(plan.discardable({"a", "b"})) == ["a"]
