"""Choosing tokens, against the definitions written out plainly."""

from __future__ import annotations

from collections import Counter
from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from wizardtpud.engine.sampler import Sampler, distribution
from wizardtpud.engine.sampling import Sampling
from wizardtpud.errors import NotNumbersError

# Few distinct values, so that ties are common.
LOGITS = st.lists(st.integers(-20, 20).map(lambda n: n / 2), min_size=1, max_size=30)
SAMPLINGS = st.builds(
    Sampling,
    temperature=st.floats(0.05, 4),
    top_k=st.integers(0, 35),
    top_p=st.floats(0.01, 1),
    seed=st.integers(0, 2**64 - 1),
)


def plain_distribution(logits: list[float], sampling: Sampling) -> dict[int, float]:
    """Probability of each token that may be drawn."""
    order = sorted(range(len(logits)), key=lambda i: (-logits[i], i))[: sampling.top_k or None]
    weights = [exp((logits[i] - max(logits)) / sampling.temperature) for i in order]
    kept, mass = 0, 0.0
    while kept < len(order) and mass < sampling.top_p * sum(weights):
        mass += weights[kept]
        kept += 1
    return {i: weight / mass for i, weight in zip(order[:kept], weights, strict=False)}


def array(*logits: float) -> NDArray[np.float32]:
    return np.array(logits, np.float32)


@given(LOGITS, SAMPLINGS)
def test_the_distribution_is_what_the_definitions_say(logits: list[float], sampling: Sampling) -> None:
    ids, probabilities = distribution(np.array(logits), sampling)
    expected = plain_distribution(logits, sampling)
    found = dict(zip(map(int, ids), map(float, probabilities), strict=True))
    # Where a sum meets top_p exactly, rounding decides over one token more.
    assert abs(len(found) - len(expected)) <= 1
    if found.keys() == expected.keys():
        assert found == pytest.approx(expected)
    assert sum(found.values()) == pytest.approx(1)


@given(LOGITS, SAMPLINGS)
def test_only_kept_tokens_are_drawn(logits: list[float], sampling: Sampling) -> None:
    ids, _ = distribution(np.array(logits), sampling)
    sampler = Sampler(sampling)
    assert {sampler.choose(array(*logits), []).id for _ in range(20)} <= {int(i) for i in ids}


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    sampler = Sampler(Sampling(temperature=1, seed=5))
    logits = array(log(0.5), log(0.3), log(0.15), log(0.05))
    counts = Counter(sampler.choose(logits, []).id for _ in range(4000))
    for token, probability in enumerate([0.5, 0.3, 0.15, 0.05]):
        sigma = (4000 * probability * (1 - probability)) ** 0.5
        assert abs(counts[token] - 4000 * probability) < 4 * sigma


@given(LOGITS, st.floats(0.01, 3))
def test_top_k_of_one_is_greedy(logits: list[float], temperature: float) -> None:
    greedy = Sampler(Sampling()).choose(array(*logits), []).id
    assert Sampler(Sampling(temperature=temperature, top_k=1)).choose(array(*logits), []).id == greedy
    assert Sampler(Sampling(temperature=temperature, top_p=1e-9)).choose(array(*logits), []).id == greedy


def test_of_equals_greedy_takes_the_lowest_id() -> None:
    assert Sampler(Sampling()).choose(array(1, 3, 2, 3), []).id == 1


def test_a_tiny_temperature_is_greedy() -> None:
    sampler = Sampler(Sampling(temperature=1e-300))
    assert {sampler.choose(array(-3, 9, 8.999, -1e30), []).id for _ in range(50)} == {1}


@given(st.integers(0, 2**64 - 1))
def test_a_seed_gives_the_same_tokens_again(seed: int) -> None:
    first, second = (Sampler(Sampling(temperature=1, seed=seed)) for _ in range(2))
    logits = np.zeros(1000, np.float32)
    assert [first.choose(logits, []) for _ in range(5)] == [second.choose(logits, []) for _ in range(5)]


def test_seeds_give_different_tokens() -> None:
    logits = np.zeros(1000, np.float32)
    drawn = {Sampler(Sampling(temperature=1, seed=seed)).choose(logits, []).id for seed in range(50)}
    assert len(drawn) > 40


class TestRepetitionPenalty:
    def choose(self, logits: NDArray[np.float32], context: list[int], penalty: float, window: int) -> int:
        sampling = Sampling(repetition_penalty=penalty, repetition_window=window)
        return Sampler(sampling).choose(logits, context).id

    def test_positive_logits_are_divided(self) -> None:
        assert self.choose(array(4, 3, 0), [0], 1.3, 64) == 0
        assert self.choose(array(4, 3, 0), [0], 1.4, 64) == 1

    def test_negative_logits_are_multiplied(self) -> None:
        assert self.choose(array(-3, -4, -9), [0], 1.3, 64) == 0
        assert self.choose(array(-3, -4, -9), [0], 1.4, 64) == 1

    def test_repeating_often_is_penalized_once(self) -> None:
        assert self.choose(array(4, 2.5), [0, 0, 0, 0], 1.5, 64) == 0

    @pytest.mark.parametrize(("window", "chosen"), [(1, 0), (2, 0), (3, 1), (64, 1), (0, 1)])
    def test_the_window_holds_the_last_tokens(self, window: int, chosen: int) -> None:
        """Token 0, the most likely, was the third last."""
        assert self.choose(array(4, 3, 0, -5), [2, 0, 2, 3], 2, window) == chosen

    def test_a_penalty_below_one_encourages(self) -> None:
        assert self.choose(array(4, 3), [1], 0.5, 64) == 1

    def test_it_comes_before_the_filters(self) -> None:
        sampling = Sampling(temperature=1, top_k=1, repetition_penalty=2)
        assert Sampler(sampling).choose(array(4, 3), [0]).id == 1


class TestLogProbabilities:
    @given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=50))
    def test_they_are_a_distribution(self, logits: list[float]) -> None:
        token = Sampler(Sampling(logprobs=len(logits))).choose(array(*logits), [])
        assert sum(exp(value) for _, value in token.alternatives) == pytest.approx(1)
        assert sorted(i for i, _ in token.alternatives) == list(range(len(logits)))
        assert token.alternatives[0] == (token.id, token.logprob)

    def test_values(self) -> None:
        token = Sampler(Sampling(logprobs=2)).choose(array(log(2), log(5), log(3)), [])
        assert token.id == 1
        assert token.logprob == pytest.approx(log(0.5))
        assert dict(token.alternatives) == pytest.approx({1: log(0.5), 2: log(0.3)})

    def test_without_alternatives(self) -> None:
        token = Sampler(Sampling(logprobs=0)).choose(array(0, 0), [])
        assert token.logprob == pytest.approx(log(0.5))
        assert token.alternatives == ()

    def test_order_is_that_of_the_logits(self) -> None:
        """Logits so close that their log probabilities round to the same number."""
        close = np.array([0, 5e-324], np.float64)
        token = Sampler(Sampling(logprobs=1)).choose(close, [])
        assert token.id == token.alternatives[0][0] == 1

    def test_equals_are_listed_by_id(self) -> None:
        token = Sampler(Sampling(logprobs=2)).choose(array(1, 2, 2, 2), [])
        assert [i for i, _ in token.alternatives] == [1, 2]

    def test_more_alternatives_than_tokens(self) -> None:
        assert len(Sampler(Sampling(logprobs=9)).choose(array(0, 1), []).alternatives) == 2

    def test_not_asked_for(self) -> None:
        token = Sampler(Sampling(temperature=1)).choose(array(0, 1), [])
        assert (token.logprob, token.alternatives) == (None, ())

    def test_they_ignore_how_tokens_are_chosen(self) -> None:
        plain = Sampler(Sampling(logprobs=3)).choose(array(1, 2, 3), [])
        skewed = Sampling(temperature=0.2, top_k=1, repetition_penalty=5, logprobs=3)
        assert Sampler(skewed).choose(array(1, 2, 3), [2]).alternatives == plain.alternatives


@pytest.mark.parametrize("values", [[np.nan] * 3, [1, np.nan, 2], [1, np.inf, 2], [-np.inf] * 3])
@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=1), Sampling(logprobs=1)])
def test_logits_that_are_not_numbers(values: list[float], sampling: Sampling) -> None:
    with pytest.raises(NotNumbersError, match="not numbers"):
        Sampler(sampling).choose(array(*values), [])


def test_a_token_may_be_impossible() -> None:
    sampler = Sampler(Sampling(temperature=1, logprobs=2))
    tokens = [sampler.choose(array(-np.inf, 1), []) for _ in range(20)]
    assert {token.id for token in tokens} == {1}
    assert tokens[0].alternatives[1] == (0, -np.inf)


def test_half_precision_logits() -> None:
    token = Sampler(Sampling(logprobs=1)).choose(np.array([1, 2], np.float16), [])
    assert token.logprob == pytest.approx(-log(1 + exp(-1)))
