"""The checkpoints of the golden files, and the prompts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from tests.support.random_checkpoint import write_random_checkpoint

DIRECTORY = Path(__file__).parent
DEMO_CHECKPOINT = DIRECTORY.parents[1] / "compile" / "demo" / "checkpoint"

# Written out here, so that the project's own template is checked too.
INSTRUCTION = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request."
    "\n\n### Instruction:\n{}\n\n### Response:"
)


class Case(ABC):
    """A checkpoint and some prompts for it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = DIRECTORY / f"{name}.npz"

    @abstractmethod
    def checkpoint(self, directory: Path) -> Path:
        """Where the checkpoint is; one that is not stored is written into `directory`."""

    @abstractmethod
    def prompts(self) -> list[list[int]]:
        """Token ids."""


class RandomCase(Case):
    """Random weights of a given shape, and random prompts of given lengths."""

    def __init__(self, name: str, lengths: tuple[int, ...], **shape: Any) -> None:
        super().__init__(name)
        self._lengths = lengths
        self._shape: Mapping[str, Any] = shape

    def checkpoint(self, directory: Path) -> Path:
        return write_random_checkpoint(directory, **self._shape)

    def prompts(self) -> list[list[int]]:
        random = np.random.Generator(np.random.PCG64(self._shape["seed"]))
        return [random.integers(1, self._shape["vocabulary"], length).tolist() for length in self._lengths]


class DemoCase(Case):
    """The demonstration model, asked for programs."""

    REQUESTS = ("write quicksort", "reverse a string in python")

    def checkpoint(self, directory: Path) -> Path:  # noqa: ARG002 - this one is stored
        return DEMO_CHECKPOINT

    def prompts(self) -> list[list[int]]:
        tokenizer = Tokenizer.from_file(str(DEMO_CHECKPOINT / "tokenizer.json"))
        return [tokenizer.encode(INSTRUCTION.format(request)).ids for request in self.REQUESTS]


CASES: list[Case] = [
    RandomCase("narrow_heads", (1, 7, 40), hidden=64, heads=4, layers=2, positions=96, vocabulary=320, seed=1),
    # An odd vocabulary, a width of MLP that is no multiple, exact GELU, an untied head, several shards.
    RandomCase(
        "odd_widths",
        (4, 33),
        hidden=48,
        heads=3,
        inner=100,
        layers=3,
        positions=77,
        vocabulary=331,
        seed=2,
        tied=False,
        shards=3,
        activation="gelu",
    ),
    RandomCase(
        "one_head", (2, 20), hidden=40, heads=1, layers=1, positions=64, vocabulary=257, seed=3, dtype="bfloat16"
    ),
    RandomCase(
        "many_heads", (5, 64), hidden=96, heads=12, inner=384, layers=4, positions=130, vocabulary=400, seed=4
    ),
    DemoCase("demo"),
]
