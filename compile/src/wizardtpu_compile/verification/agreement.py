"""Whether a reference would have chosen the same tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wizardtpu_compile.network.description import Network, Weight
from wizardtpu_compile.network.reference import Arrays, evaluate
from wizardtpu_compile.verification.inputs import HIDDEN


@dataclass(frozen=True)
class Agreement:
    """How often a reference, given the same text before, would have chosen the token that was chosen.

    Attributes:
        tokens: how many were looked at.
        equal: for how many of them the reference agrees.
        largest_margin: where it does not, by how much at most its own choice has the higher logit.
        smallest_margin: where it does, how close the second choice came.
    """

    tokens: int
    equal: int
    largest_margin: float
    smallest_margin: float


Read = Callable[[Weight], NDArray[np.float32]]
"""How a reference reads a weight: as it is, or rounded."""


def next_logits(
    networks: Iterable[Network], texts: Sequence[Sequence[int]], reads: Callable[[Network], Read]
) -> list[NDArray[np.float32]]:
    """Logits [tokens, vocabulary] of a reference after every token of each text, in one pass over the weights.

    `reads` says how the weights of a network are read.
    """
    runs = [_start(text) for text in texts]
    for network in networks:
        if network.role == "greedy_head":
            continue
        if network.role == "lm_head":  # every token as a sequence of its own
            runs = [{"hidden_states": run["hidden_states"].transpose(1, 0, 2)} for run in runs]
        inputs = [{value.name: _value(network, value.name, run) for value in network.inputs} for run in runs]
        for run, outputs in zip(runs, evaluate(network, inputs, reads(network)), strict=True):
            run.update({name: array for name, array in outputs.items() if not name.startswith("new_")})
            run["hidden_states"] = run.pop("hidden_states_out", run["hidden_states"])
    return [run["logits"] for run in runs]


def agreement(
    prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], logits: Sequence[NDArray[np.float32]]
) -> Agreement:
    """Compares answers with what `next_logits` says of each prompt and answer together."""
    margins: list[tuple[bool, float]] = []
    for prompt, answer, rows in zip(prompts, answers, logits, strict=True):
        for token, row in zip(answer, rows[len(prompt) - 1 :], strict=False):
            others = np.delete(row, token)
            margins.append((int(np.argmax(row)) == token, abs(float(row[token] - others.max()))))
    equal = [margin for same, margin in margins if same]
    different = [margin for same, margin in margins if not same]
    return Agreement(len(margins), len(equal), max(different, default=0.0), min(equal, default=0.0))


def _start(text: Sequence[int]) -> Arrays:
    tokens = len(text)
    mask = np.triu(np.full((tokens, tokens), HIDDEN, np.float32), k=1)[None, None]
    ids, places = np.array([text], np.int32), np.arange(tokens, dtype=np.int32)[None]
    return {"input_ids": ids, "position_ids": places, "attention_mask": mask}


def _value(network: Network, name: str, run: Arrays) -> NDArray[np.float32]:
    """An input; the history is empty, for the whole text is new."""
    if name in run:
        return run[name]
    width = next(value.shape[-1] for value in network.inputs if value.name == name)
    return np.zeros((1, 0, 1, int(width)), np.float32)
