"""A generated token."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Token:
    """A token id and, where asked for, natural log probabilities.

    Attributes:
        logprob: log-softmax of the model's own logits: temperature 1, before penalties and filters.
        alternatives: (id, logprob) of the most likely tokens, best first; may include the chosen one.
    """

    id: int
    logprob: float | None = None
    alternatives: tuple[tuple[int, float], ...] = ()
