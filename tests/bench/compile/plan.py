"""How much is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.random_checkpoint import write_random_checkpoint
from tests.support.wide_checkpoint import write_wide_checkpoint


@dataclass(frozen=True)
class Plan:
    """The amounts of a whole run.

    Attributes:
        model: what the checkpoint that is built is like.
        write: makes that checkpoint, with two layers, in a directory.
        context: of its bundle.
        estimated: the published model whose speed is estimated.
        route_rounds: how often both ways of compiling the small layer take their turn.
        questions: to each bundle of the demonstration model.
        answer_tokens: new tokens after each of them.
    """

    model: str
    write: Callable[[Path], object]
    context: int
    estimated: str
    route_rounds: int
    questions: int
    answer_tokens: int


LAYERS = 2
"""Of the checkpoint that is built: enough to tell a layer from the rest."""
PUBLISHED_LAYERS = 40
"""Of WizardCoder-15B."""


def _write_wide(directory: Path) -> None:
    write_wide_checkpoint(directory, LAYERS)


def _write_small(directory: Path) -> None:
    write_random_checkpoint(directory, hidden=256, heads=4, layers=LAYERS, positions=1024, vocabulary=2048)


FULL = Plan(
    model="random weights in the widths of WizardCoder-15B",
    write=_write_wide,
    context=2048,
    estimated="wizardcoder-15b",
    route_rounds=3,
    questions=1,
    answer_tokens=16,
)
QUICK = Plan(
    model="random weights, 256 wide",
    write=_write_small,
    context=1024,
    estimated="wizardcoder-1b",
    route_rounds=1,
    questions=1,
    answer_tokens=8,
)
