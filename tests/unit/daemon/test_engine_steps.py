"""How the engine goes about sequences and slots, on a device whose arithmetic is plain."""

from __future__ import annotations

from collections.abc import Sequence as AbstractSequence
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wizardtpud.engine import Engine, FinishReason, Sampling, Sequence
from wizardtpud.engine.wizardtpu.forward import StepForward
from wizardtpud.engine.wizardtpu.kv_cache import KvCache
from wizardtpud.engine.wizardtpu.step_inputs import StepInputs
from wizardtpud.errors import DeviceError, NotNumbersError

from tests.support.fake_runtime import FakeLaunch, FakeRuntime, fake_model

V, CONTEXT = 100, 32


def make(
    slots: int = 1, chunks: AbstractSequence[int] = (1, 4, 8), blocks: AbstractSequence[int] = (1,)
) -> tuple[Engine, FakeRuntime]:
    runtime, layout = fake_model(vocabulary=V, context=CONTEXT, chunks=chunks, blocks=blocks)
    return Engine(StepForward(runtime, layout, slots), end_of_text=[0]), runtime


def tokens_of_steps(engine: Engine) -> list[list[tuple[int, list[int]]]]:
    """For each step until nothing runs: (slot, tokens) of its progress. Releases what ends."""
    steps = []
    while progress := engine.step():
        steps.append([(p.sequence.slot, [token.id for token in p.tokens]) for p in progress])
        for sequence in {p.sequence for p in progress if p.sequence.finish}:
            engine.release(sequence)
    return steps


def test_what_it_says_of_itself() -> None:
    engine, _ = make(slots=3)
    assert (engine.slots, engine.free_slots, engine.context, engine.vocabulary) == (3, 3, CONTEXT, V)


def test_without_sequences_a_step_does_nothing() -> None:
    engine, runtime = make()
    assert engine.step() == []
    assert runtime.runs == []


def test_a_prompt_is_read_in_chunks_and_then_continued() -> None:
    engine, _ = make()
    sequence = engine.admit(range(10, 31), Sampling(), max_new_tokens=3)  # 21 tokens: chunks of 8, 8, 8
    assert sequence.prefilling
    assert tokens_of_steps(engine) == [[(0, [])], [(0, [])], [(0, [31])], [(0, [32])], [(0, [33])]]
    assert (sequence.prompt, sequence.generated) == (list(range(10, 31)), [31, 32, 33])
    assert sequence.finish is FinishReason.MAX_TOKENS
    assert sequence.reused_tokens == 0


@pytest.mark.parametrize(
    ("length", "chunks"),
    [
        (1, [1]),
        (2, [4]),
        (4, [4]),
        (5, [8]),
        (8, [8]),
        (9, [8, 1]),
        (12, [8, 4]),
        (16, [8, 8]),
        (18, [8, 8, 4]),
        (31, [8, 8, 8, 8]),
    ],
)
def test_the_smallest_chunk_that_holds_the_rest_is_taken(length: int, chunks: list[int]) -> None:
    engine, runtime = make()
    engine.admit(range(1, length + 1), Sampling(), max_new_tokens=1)
    tokens_of_steps(engine)
    assert runtime.runs == chunks


def test_prompts_are_read_one_after_the_other_before_anything_is_continued() -> None:
    engine, _ = make(slots=3)
    engine.admit([10], Sampling(), max_new_tokens=3)
    engine.admit(range(20, 29), Sampling(), max_new_tokens=2)
    engine.admit([40], Sampling(), max_new_tokens=1)
    assert tokens_of_steps(engine) == [
        [(0, [11])],
        [(1, [])],
        [(1, [29])],
        [(2, [41])],
        [(0, [12]), (1, [30])],
        [(0, [13])],
    ]


def test_a_sequence_that_ended_is_left_alone_until_it_is_released() -> None:
    engine, runtime = make(slots=2)
    ended = engine.admit([5], Sampling(), max_new_tokens=1)
    engine.step()
    assert engine.step() == []
    assert (runtime.runs, engine.free_slots, ended.generated) == ([1], 1, [6])


def test_cancelling_between_chunks() -> None:
    engine, runtime = make()
    sequence = engine.admit(range(1, 25), Sampling())
    engine.step()
    engine.release(sequence)
    assert engine.step() == []
    assert runtime.runs == [8]
    assert engine.free_slots == 1


class TestEndings:
    def test_end_of_text_is_part_of_the_answer(self) -> None:
        engine, _ = make()
        sequence = engine.admit([V - 2], Sampling())
        assert tokens_of_steps(engine)[-1] == [(0, [0])]
        assert (sequence.generated, sequence.finish) == ([V - 1, 0], FinishReason.END_OF_TEXT)

    def test_end_of_text_in_the_prompt_ends_nothing(self) -> None:
        engine, _ = make()
        sequence = engine.admit([7, 0], Sampling(), max_new_tokens=2)
        tokens_of_steps(engine)
        assert sequence.generated == [1, 2]

    def test_end_of_text_wins_over_limits(self) -> None:
        engine, _ = make()
        sequence = engine.admit([V - 1] * (CONTEXT - 1), Sampling(), max_new_tokens=1)
        tokens_of_steps(engine)
        assert sequence.finish is FinishReason.END_OF_TEXT

    @pytest.mark.parametrize("length", [1, 9, CONTEXT - 2, CONTEXT - 1])
    def test_the_context_is_filled_to_the_last_token(self, length: int) -> None:
        engine, _ = make()
        sequence = engine.admit(range(1, length + 1), Sampling())
        tokens_of_steps(engine)
        assert sequence.tokens == list(range(1, CONTEXT + 1))
        assert sequence.finish is FinishReason.CONTEXT_FULL

    def test_max_tokens_wins_over_the_context(self) -> None:
        engine, _ = make()
        sequence = engine.admit([1], Sampling(), max_new_tokens=CONTEXT - 1)
        tokens_of_steps(engine)
        assert sequence.finish is FinishReason.MAX_TOKENS


class TestSlots:
    def test_they_run_out(self) -> None:
        engine, _ = make(slots=2)
        engine.admit([1], Sampling())
        engine.admit([1], Sampling())
        with pytest.raises(ValueError, match="all 2 slots are taken"):
            engine.admit([1], Sampling())

    def test_a_released_slot_is_taken_again(self) -> None:
        engine, _ = make(slots=2)
        first, second = engine.admit([1], Sampling()), engine.admit([1], Sampling())
        engine.release(first)
        assert engine.free_slots == 1
        assert engine.admit([1], Sampling()).slot == first.slot != second.slot

    def test_releasing_again_does_nothing(self) -> None:
        engine, _ = make(slots=2)
        first = engine.admit([1], Sampling())
        engine.release(first)
        engine.admit([1], Sampling())
        engine.release(first)
        assert engine.free_slots == 1

    @given(st.lists(st.tuples(st.integers(1, CONTEXT - 1), st.integers(1, 12), st.integers(0, 6)), max_size=8))
    def test_whatever_comes_and_goes_every_answer_is_right(self, requests: list[tuple[int, int, int]]) -> None:
        """The fake checks that every row is in its place; each request is given up after some steps or ends."""
        engine, _ = make(slots=3)
        waiting, running = list(requests), dict[Sequence, int]()
        while waiting or running:
            while waiting and engine.free_slots:
                length, count, patience = waiting.pop()
                running[engine.admit(range(1, length + 1), Sampling(), count)] = patience
            engine.step()
            for sequence in list(running):
                assert sequence.tokens == list(range(1, len(sequence.tokens) + 1))
                running[sequence] -= 1
                if sequence.finish or running[sequence] == -1:
                    del running[sequence]
                    engine.release(sequence)
        assert engine.free_slots == 3


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ([], "a prompt of 0 tokens does not fit"),
        ([1] * CONTEXT, "a prompt of 32 tokens does not fit"),
        ([5, V], "outside the vocabulary of 100"),
        ([-1], "outside the vocabulary of 100"),
    ],
)
def test_prompts_that_must_have_been_refused_earlier(prompt: list[int], message: str) -> None:
    engine, _ = make()
    with pytest.raises(ValueError, match=message):
        engine.admit(prompt, Sampling())
    assert engine.free_slots == 1


def test_only_chunks_of_one_token() -> None:
    engine, runtime = make(chunks=[1])
    sequence = engine.admit(range(1, 8), Sampling(), max_new_tokens=2)
    tokens_of_steps(engine)
    assert (sequence.generated, runtime.runs) == ([8, 9], [1] * 8)


def test_a_chunk_as_long_as_the_context() -> None:
    engine, _ = make(chunks=[1, CONTEXT])
    sequence = engine.admit(range(1, CONTEXT), Sampling())
    tokens_of_steps(engine)
    assert sequence.generated == [CONTEXT]


@pytest.mark.parametrize("blocks", [(1, 1), (1, 1, 1), (3,), (2, 2), (1, 3, 2)])
def test_layers_in_blocks_of_any_size(blocks: tuple[int, ...]) -> None:
    """The fake checks that every layer has its own rows, and that hidden states pass from block to block."""
    engine, _ = make(slots=2, blocks=blocks)
    first = engine.admit(range(1, 22), Sampling(), max_new_tokens=8)
    second = engine.admit([50], Sampling(), max_new_tokens=3)
    tokens_of_steps(engine)
    assert (first.generated, second.generated) == (list(range(22, 30)), [51, 52, 53])


def test_networks_for_several_sequences_are_left_alone() -> None:
    """The fake does not even have them."""
    runtime, layout = fake_model(vocabulary=V, context=CONTEXT)
    several = replace(layout.steps[0], batch=4, embedding="embedding_b4_t1", lm_head="lm_head_b4")
    engine = Engine(StepForward(runtime, replace(layout, steps=(*layout.steps, several))), end_of_text=[0])
    sequence = engine.admit([3], Sampling(), max_new_tokens=2)
    tokens_of_steps(engine)
    assert sequence.generated == [4, 5]


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(logprobs=0), Sampling(repetition_penalty=1.0001)])
def test_greedy_is_the_same_on_the_device_and_the_host(sampling: Sampling) -> None:
    engine, _ = make()
    sequence = engine.admit([3], sampling, max_new_tokens=5)
    tokens_of_steps(engine)
    assert sequence.generated == [4, 5, 6, 7, 8]


class TestFailures:
    def test_a_device_that_fails(self) -> None:
        engine, runtime = make()
        sequence = engine.admit(range(1, 20), Sampling(), max_new_tokens=2)
        engine.step()
        runtime.failure = "the board does not answer"
        with pytest.raises(DeviceError, match="the board does not answer"):
            engine.step()
        runtime.failure = None  # if it comes back, nothing is lost
        tokens_of_steps(engine)
        assert sequence.generated == [20, 21]

    @pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=1)])
    def test_logits_that_are_not_numbers_are_no_end_of_text(self, sampling: Sampling) -> None:
        engine, runtime = make()
        sequence = engine.admit([5], sampling)
        runtime.successor = lambda _token: float("nan")
        assert_not_numbers(engine, sequence)

    def test_the_others_of_a_step_go_on(self) -> None:
        engine, runtime = make(slots=3)
        sequences = [engine.admit([first], Sampling()) for first in (5, 20, 40)]
        for _ in sequences:  # the prompts are read
            engine.step()
        runtime.successor = lambda token: float("nan") if 20 <= token < 30 else token + 1
        errors = [type(progress.error) for progress in engine.step()]
        assert errors == [type(None), NotNumbersError, type(None)]
        assert [sequence.generated for sequence in sequences] == [[6, 7], [21], [41, 42]]

    def test_what_is_discarded_leaves_nothing_behind(self) -> None:
        runtime, layout = fake_model(vocabulary=V, context=CONTEXT)
        cleared = []

        class Noting(StepForward):
            def clear(self, slot: int) -> None:
                cleared.append(slot)

        engine = Engine(Noting(runtime, layout, slots=2), end_of_text=[0])
        kept, discarded = (engine.admit([5], Sampling(), max_new_tokens=1) for _ in range(2))
        engine.discard(discarded)
        assert (cleared, engine.free_slots) == ([discarded.slot], 1)
        assert [progress.sequence for progress in engine.step()] == [kept]


def test_clearing_a_slot_leaves_the_others() -> None:
    cache = KvCache(*fake_model(vocabulary=V, context=CONTEXT, blocks=(2, 1)), slots=3)
    buffers = [
        [buffer for layer in cache.slot(slot) for buffer in (layer.keys, layer.values)] for slot in range(3)
    ]
    for buffer in (buffer for slot in buffers for buffer in slot):
        buffer.write(np.full(buffer.shape, np.nan, buffer.dtype))

    cache.clear(1)

    values = [np.stack([buffer.read() for buffer in slot]) for slot in buffers]
    assert [bool(np.isnan(slot).all()) for slot in values] == [True, False, True]
    assert not values[1].any()


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(logprobs=1), Sampling(temperature=0.1, seed=1)])
def test_a_model_in_bfloat16(sampling: Sampling) -> None:
    runtime, layout = fake_model(vocabulary=V, context=CONTEXT, blocks=(2,), dtype=np.dtype(ml_dtypes.bfloat16))
    engine = Engine(StepForward(runtime, layout), end_of_text=[0])
    sequence = engine.admit(range(10, 20), sampling, max_new_tokens=3)
    tokens_of_steps(engine)
    assert sequence.generated == [20, 21, 22]
    runtime.successor = lambda _token: float("nan")
    assert_not_numbers(engine, engine.admit([5], sampling))


def assert_not_numbers(engine: Engine, sequence: Sequence) -> None:
    """That is how the next step ends for the sequence, without a token."""
    (progress,) = engine.step()
    assert (progress.sequence, progress.tokens, sequence.generated) == (sequence, [], [])
    assert isinstance(progress.error, NotNumbersError)
    assert "not numbers" in str(progress.error)


def test_a_runtime_that_does_not_write_where_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime, layout = fake_model()
    monkeypatch.setattr(FakeLaunch, "run", lambda _: None)
    with pytest.raises(DeviceError, match=r"does not read and write where it is told to: .*update libsophon"):
        StepForward(runtime, layout)


class TestStepInputs:
    def test_new_tokens_see_those_before_them(self) -> None:
        inputs = StepInputs(make()[1], tokens=3, history=2, dtype=np.dtype(np.float32))
        assert visible(inputs) == ["..#..", "..##.", "..###"]

    def test_rows_of_the_cache_come_and_go(self) -> None:
        inputs = StepInputs(make()[1], tokens=2, history=4, dtype=np.dtype(np.float16))
        for rows, expected in [(3, "###."), (4, "####"), (4, "####"), (1, "#..."), (0, "....")]:
            inputs.write([5], start=rows)
            assert visible(inputs) == [f"{expected}#.", f"{expected}##"]

    def test_what_is_hidden_is_hidden_in_bfloat16(self) -> None:
        inputs = StepInputs(make()[1], tokens=2, history=1, dtype=np.dtype(ml_dtypes.bfloat16))
        assert np.exp(inputs.mask.read()[0, 0].astype(np.float32)).tolist() == [[0, 1, 0], [0, 1, 1]]

    def test_padding_repeats_the_last_token_in_its_own_places(self) -> None:
        inputs = StepInputs(make()[1], tokens=4, history=8, dtype=np.dtype(np.float32))
        inputs.write([7, 9], start=3)
        assert inputs.ids.read().tolist() == [[7, 9, 9, 9]]
        assert inputs.positions.read().tolist() == [[3, 4, 5, 6]]


def visible(inputs: StepInputs) -> list[str]:
    """A line per new token, with # for what it sees."""
    rows = inputs.mask.read()[0, 0]
    assert set(np.unique(rows)) <= {0, -10000}
    return ["".join("#" if value == 0 else "." for value in row) for row in rows]
