"""The steps in which an estimate lets a prompt be read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from wizardtpu_compile.estimate.prefill import engine_steps, least_cycles
from wizardtpud.engine import Engine, Sampling

from tests.support.fake_runtime import fake_model

CONTEXT = 64
chunks = st.sets(st.integers(2, CONTEXT - 1), max_size=4).map(lambda counts: sorted({1, *counts}))
prompts = st.integers(1, CONTEXT - 1)


@given(chunks, prompts)
def test_they_are_those_of_the_engine(counts: list[int], prompt: int) -> None:
    runtime, layout = fake_model(context=CONTEXT, chunks=counts)
    engine = Engine(runtime, layout, end_of_text=[0])
    sequence = engine.admit([5] * prompt, Sampling(), max_new_tokens=1)
    while sequence.prefilling or sequence.finish is None:
        engine.step()
    assert runtime.runs == engine_steps(prompt, counts)


@given(chunks, prompts)
def test_they_hold_the_prompt_and_none_is_for_nothing(counts: list[int], prompt: int) -> None:
    steps = engine_steps(prompt, counts)
    assert sum(steps[:-1]) < prompt <= sum(steps)


@given(st.dictionaries(st.integers(2, 40), st.integers(1, 1000), max_size=4), st.integers(1, 1000), prompts)
def test_nothing_is_cheaper_than_the_cheapest_steps(cycles: dict[int, int], one: int, prompt: int) -> None:
    cycles = {1: one, **cycles}
    least = least_cycles(prompt, cycles)
    assert least <= sum(cycles[step] for step in engine_steps(prompt, sorted(cycles)))
    assert least <= prompt * one
    assert least <= least_cycles(prompt + 1, cycles)
    assert min(cycles.values()) <= least


def test_the_cheapest_steps_may_mix_lengths() -> None:
    assert least_cycles(65, {1: 10, 64: 12, 128: 30}) == 22
