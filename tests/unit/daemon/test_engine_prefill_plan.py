"""The steps in which a prompt is read."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wizardtpud.engine import Engine, Sampling
from wizardtpud.engine.wizardtpu.forward import StepForward
from wizardtpud.engine.wizardtpu.prefill_plan import PrefillPlan

from tests.support.fake_runtime import fake_model

LONGEST = 40
costs = st.dictionaries(st.integers(2, 16), st.integers(1, 1000), max_size=3).map(lambda some: {1: 500, **some})
lengths = st.integers(1, LONGEST)


def cost_of(steps: list[int], each: dict[int, int]) -> int:
    return sum(each[step] for step in steps)


@given(costs, lengths)
def test_steps_hold_all_tokens_and_none_is_for_nothing(each: dict[int, int], tokens: int) -> None:
    steps = PrefillPlan(each, LONGEST).steps(tokens)
    assert sum(steps[:-1]) < tokens <= sum(steps)


@given(costs, st.integers(1, 12))
def test_no_other_steps_are_cheaper(each: dict[int, int], tokens: int) -> None:
    least = cost_of(PrefillPlan(each, LONGEST).steps(tokens), each)
    for count in range(1, tokens + 1):
        for steps in itertools.combinations_with_replacement(each, count):
            assert sum(steps) < tokens or cost_of(list(steps), each) >= least


def test_larger_steps_come_first() -> None:
    assert PrefillPlan({1: 40, 64: 50, 512: 350}, 2048).steps(512 + 64 + 1) == [512, 64, 1]


def test_a_full_large_step_is_not_padded_for_a_few_tokens() -> None:
    assert PrefillPlan({1: 40, 64: 50, 512: 350}, 2048).steps(128) == [64, 64]


@pytest.mark.parametrize(("cycles", "taken"), [({1: 40, 8: 61, 64: 50}, [64, 64]), (None, [64, 64, 8])])
def test_the_engine_reads_by_cycles_if_it_knows_them(cycles: dict[int, int] | None, taken: list[int]) -> None:
    tokens = sum(taken)
    runtime, layout = fake_model(context=256, chunks=[1, 8, 64], cycles=cycles)
    engine = Engine(StepForward(runtime, layout), end_of_text=[0])
    sequence = engine.admit([5] * tokens, Sampling(), max_new_tokens=1)
    while sequence.finish is None:
        engine.step()
    assert runtime.runs == taken
