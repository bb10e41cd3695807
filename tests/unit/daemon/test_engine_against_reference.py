"""The engine on the CPU device gives what a plain recomputation of the whole sequence gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from wizardtpud.device.runtime import Runtime
from wizardtpud.engine import Engine, FinishReason, Sampling, Sequence, Token
from wizardtpud.engine.wizardtpu.forward import StepForward
from wizardtpud.model.bundle import Bundle
from wizardtpud.model.layout import Layout, resolve
from wizardtpud.model.loading import load

from tests.support.reference_gpt_bigcode import ReferenceModel

EVERYTHING = Sampling(logprobs=272)  # the log probability of the whole vocabulary with each token


@pytest.fixture(scope="module")
def model(random_bundle: Path) -> Iterator[tuple[Runtime, Layout]]:
    bundle = Bundle.open(random_bundle)
    with load(bundle, "cpu") as runtime:
        yield runtime, resolve(bundle.manifest, runtime.networks)


@pytest.fixture
def engine(model: tuple[Runtime, Layout]) -> Engine:
    return Engine(StepForward(*model, slots=3), end_of_text=[0])


def run(engine: Engine, *sequences: Sequence) -> list[list[Token]]:
    """Steps until all have ended; releases them."""
    tokens: dict[Sequence, list[Token]] = {sequence: [] for sequence in sequences}
    while any(sequence.finish is None for sequence in sequences):
        for progress in engine.step():
            tokens[progress.sequence] += progress.tokens
    for sequence in sequences:
        engine.release(sequence)
    return list(tokens.values())


def prompt(length: int, seed: int = 0) -> list[int]:
    return [int(i) for i in np.random.default_rng([length, seed]).integers(1, 272, length)]


def log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted: NDArray[np.float64] = logits - logits.max(-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(-1, keepdims=True))
    return shifted


def logprobs(tokens: list[Token]) -> NDArray[np.float64]:
    """[tokens, vocabulary]"""
    result = np.full((len(tokens), 272), np.nan)
    for row, token in zip(result, tokens, strict=True):
        ids, values = zip(*token.alternatives, strict=True)
        row[list(ids)] = values
    return result


@pytest.mark.parametrize("length", range(1, 40))
def test_prompts_of_every_length(engine: Engine, reference: ReferenceModel, length: int) -> None:
    """Chunks are 1, 4 and 16 tokens, so the lengths pass every boundary, and the end of the context."""
    ids = prompt(length)
    [tokens] = run(engine, engine.admit(ids, EVERYTHING, max_new_tokens=2))
    expected = log_softmax(reference.logits([*ids, tokens[0].id])[length - 1 :][: len(tokens)])
    np.testing.assert_allclose(logprobs(tokens), expected, atol=2e-4)
    assert [token.id for token in tokens] == [int(i) for i in expected.argmax(-1)]


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(logprobs=0)], ids=["device", "host"])
def test_decoding_until_the_context_is_full(engine: Engine, reference: ReferenceModel, sampling: Sampling) -> None:
    sequence = engine.admit(prompt(5), sampling)
    [tokens] = run(engine, sequence)
    assert sequence.finish is FinishReason.CONTEXT_FULL
    assert [token.id for token in tokens] == reference.greedy(prompt(5), 35) == sequence.generated


def test_the_longest_prompt_leaves_room_for_one_token(engine: Engine, reference: ReferenceModel) -> None:
    sequence = engine.admit(prompt(39), Sampling())
    [tokens] = run(engine, sequence)
    assert [token.id for token in tokens] == reference.greedy(prompt(39), 1)
    assert sequence.finish is FinishReason.CONTEXT_FULL


def test_slots_do_not_disturb_each_other(engine: Engine, reference: ReferenceModel) -> None:
    prompts = [prompt(3), prompt(21), prompt(18)]
    together = run(engine, *(engine.admit(ids, Sampling(), max_new_tokens=12) for ids in prompts))
    assert [[token.id for token in tokens] for tokens in together] == [
        reference.greedy(ids, 12) for ids in prompts
    ]


@pytest.mark.parametrize("lengths", [(38, 2), (2, 38), (17, 16)])
def test_what_a_slot_held_before_is_hidden(
    engine: Engine, reference: ReferenceModel, lengths: tuple[int, int]
) -> None:
    for _ in range(engine.slots):
        first = engine.admit(prompt(lengths[0]), Sampling(), max_new_tokens=2)
        run(engine, first)
        second = engine.admit(prompt(lengths[1]), EVERYTHING, max_new_tokens=1)
        assert second.slot == first.slot
        [tokens] = run(engine, second)
        expected = log_softmax(reference.logits(prompt(lengths[1]))[-1:])
        np.testing.assert_allclose(logprobs(tokens), expected, atol=2e-4)


def test_sampled_tokens_depend_on_the_request_alone(engine: Engine) -> None:
    def admit(seed: int) -> Sequence:
        return engine.admit(prompt(7), Sampling(temperature=1.5, top_p=0.95, seed=seed), max_new_tokens=20)

    [alone] = run(engine, admit(seed=1))
    beside_others = run(engine, admit(seed=2), admit(seed=1), admit(seed=3))
    assert beside_others[1] == alone
    assert beside_others[0] != alone


def test_logprobs_are_of_the_raw_logits(engine: Engine, reference: ReferenceModel) -> None:
    sampling = Sampling(temperature=2.0, top_k=5, repetition_penalty=1.7, seed=4, logprobs=3)
    [tokens] = run(engine, engine.admit(prompt(6), sampling, max_new_tokens=8))
    rows = log_softmax(reference.logits([*prompt(6), *(token.id for token in tokens)])[5:-1])
    for token, row in zip(tokens, rows, strict=True):
        best = np.argsort(-row)[:3]
        assert token.logprob == pytest.approx(row[token.id], abs=2e-4)
        assert [i for i, _ in token.alternatives] == list(best)
        assert [value for _, value in token.alternatives] == pytest.approx(row[best], abs=2e-4)
