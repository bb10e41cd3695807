"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelSize:
    """The numbers of a random GPTBigCode network."""

    hidden: int
    heads: int
    layers: int
    inner: int
    vocabulary: int
    positions: int


@dataclass(frozen=True)
class Plan:
    """The amounts of a whole run.

    Attributes:
        rounds: how often everything that is compared takes its turn.
        questions: to the demonstration model, when it is compared with peers.
        served_questions: to the demonstration model in each turn of the bare loop and of the daemon.
        larger: the model on which arithmetic takes most of the time.
        larger_prompts: prompts of 32 random tokens for it, when it is compared with peers.
        larger_tokens: new tokens after each of them.
        tiny_requests: requests in each turn on a model so small that the engine hardly counts.
        first_tokens: requests whose time to the first token is taken.
    """

    rounds: int
    questions: int
    served_questions: int
    larger: ModelSize
    larger_prompts: int
    larger_tokens: int
    tiny_requests: int
    first_tokens: int


FULL = Plan(
    rounds=5,
    questions=8,
    served_questions=32,
    larger=ModelSize(hidden=1024, heads=8, layers=6, inner=4096, vocabulary=8192, positions=512),
    larger_prompts=3,
    larger_tokens=64,
    tiny_requests=16,
    first_tokens=100,
)
QUICK = Plan(
    rounds=2,
    questions=2,
    served_questions=8,
    larger=ModelSize(hidden=256, heads=4, layers=2, inner=1024, vocabulary=2048, positions=512),
    larger_prompts=1,
    larger_tokens=64,
    tiny_requests=8,
    first_tokens=10,
)
