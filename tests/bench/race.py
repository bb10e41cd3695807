"""Contenders doing the same work in turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.contender import Answer, Contender
from tests.bench.model import Model
from tests.bench.progress import say
from tests.bench.series import Series


@dataclass(frozen=True)
class Standing:
    """How a contender did; one value per round.

    Attributes:
        decode_rates: tokens a second, those after the first one of each answer.
        first_tokens: seconds to answer with one token, the median over the prompts.
        same_answers: how many answers were, token for token, those of the first contender.
    """

    name: str
    decode_rates: Series
    first_tokens: Series
    same_answers: int


@dataclass(frozen=True)
class Race:
    """The standings of contenders on a model; the first one is what the others are compared with.

    Attributes:
        new_tokens: of all answers of the first contender in a round.
    """

    model: str
    prompts: int
    new_tokens: int
    standings: list[Standing]


@dataclass(frozen=True)
class _Turn:
    """Every prompt answered twice: with one token, and in full."""

    first: list[Answer]
    full: list[Answer]

    @property
    def decode_rate(self) -> float:
        tokens = sum(len(answer.tokens) - 1 for answer in self.full)
        seconds = sum(full.seconds - first.seconds for first, full in zip(self.first, self.full, strict=True))
        return tokens / seconds

    @property
    def first_token(self) -> float:
        return median(answer.seconds for answer in self.first)

    @property
    def tokens(self) -> list[list[int]]:
        return [answer.tokens for answer in self.full]


def race(model: Model, contenders: Sequence[Contender], rounds: int) -> Race:
    """Lets the contenders take turns, after one turn that does not count."""
    for contender in contenders:
        _turn(contender, model)
    turns: list[list[_Turn]] = []
    for number in range(rounds):
        say(f"{model.name}: round {number + 1} of {rounds}, {', '.join(c.name for c in contenders)}")
        turns.append([_turn(contender, model) for contender in contenders])
    expected = turns[0][0].tokens
    standings = [
        _standing(contender, [turn[place] for turn in turns], expected)
        for place, contender in enumerate(contenders)
    ]
    return Race(model.name, len(model.prompts), sum(map(len, expected)), standings)


def _turn(contender: Contender, model: Model) -> _Turn:
    first, full = [], []
    for prompt in model.prompts:
        first.append(contender.generate(prompt, 1))
        full.append(contender.generate(prompt, model.max_new_tokens))
    return _Turn(first, full)


def _standing(contender: Contender, turns: list[_Turn], expected: list[list[int]]) -> Standing:
    return Standing(
        contender.name,
        Series([turn.decode_rate for turn in turns]),
        Series([turn.first_token for turn in turns]),
        sum(tokens == wanted for tokens, wanted in zip(turns[0].tokens, expected, strict=True)),
    )
