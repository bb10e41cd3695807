"""Choosing a token on the host, from logits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wizardtpud.engine.sampling import Sampling
from wizardtpud.engine.token import Token
from wizardtpud.errors import NotNumbersError

NOT_NUMBERS = "the model gave logits that are not numbers; the bundle or the device may be damaged"


class Sampler:
    """Chooses one sequence's tokens: repetition penalty, then temperature, top-k, top-p and a draw.

    It owns the sequence's random numbers and takes one of them per sampled token.
    """

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._random = np.random.Generator(np.random.PCG64(sampling.seed))

    def choose(self, logits: NDArray[np.floating], context: Sequence[int]) -> Token:
        """The token to follow.

        Args:
            logits: [vocabulary], of any float type.
            context: the token ids so far, prompt and answer.

        Raises:
            NotNumbersError: the logits are not numbers.
        """
        raw = checked(logits)
        scores = penalize(raw, self._window(context), self._sampling.repetition_penalty)
        chosen = int(np.argmax(scores)) if self._sampling.temperature == 0 else self._draw(scores)
        if self._sampling.logprobs is None:
            return Token(chosen)
        logprobs = log_softmax(raw)
        best = most_likely(raw, self._sampling.logprobs)
        return Token(chosen, float(logprobs[chosen]), tuple((int(i), float(logprobs[i])) for i in best))

    def _window(self, context: Sequence[int]) -> Sequence[int]:
        if self._sampling.repetition_penalty == 1:
            return ()
        return context[-self._sampling.repetition_window :]  # a window of 0 is the slice from 0: everything

    def _draw(self, scores: NDArray[np.float64]) -> int:
        candidates, probabilities = distribution(scores, self._sampling)
        return int(self._random.choice(candidates, p=probabilities))


def checked(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """The logits in double precision.

    Raises:
        NotNumbersError: one of them is NaN, or the highest is infinite.
    """
    scores = logits.astype(np.float64)  # first, for bfloat16 warns of NaN when it is compared
    if not np.isfinite(scores.max()):
        raise NotNumbersError(NOT_NUMBERS)
    return scores


def penalize(scores: NDArray[np.float64], ids: Sequence[int], penalty: float) -> NDArray[np.float64]:
    """Divides the positive scores of `ids` by `penalty`, multiplies the negative (CTRL, arXiv:1909.05858)."""
    if not ids:
        return scores
    penalized = np.array(scores)
    repeated = scores[list(ids)]
    penalized[list(ids)] = np.where(repeated > 0, repeated / penalty, repeated * penalty)
    return penalized


def distribution(scores: NDArray[np.float64], sampling: Sampling) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The token ids that may be drawn and their probabilities, after temperature, top-k and top-p."""
    kept = most_likely(scores, sampling.top_k or len(scores))
    with np.errstate(over="ignore"):  # so cold that a probability is 0
        weights = np.exp((scores[kept] - scores[kept[0]]) / sampling.temperature)
    cumulative = np.cumsum(weights)
    enough = int(np.searchsorted(cumulative, sampling.top_p * cumulative[-1])) + 1
    return kept[:enough], weights[:enough] / cumulative[enough - 1]


def most_likely(scores: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """The ids of the `count` highest scores, best first; of equals, the lower id first."""
    if count == 0:
        return np.empty(0, np.intp)
    candidates = np.arange(len(scores))
    if count < len(scores):
        candidates = np.flatnonzero(scores >= np.partition(scores, -count)[-count])
    return candidates[np.argsort(-scores[candidates], kind="stable")][:count]


def log_softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted: NDArray[np.float64] = scores - scores.max()
    shifted -= np.log(np.exp(shifted).sum())
    return shifted
