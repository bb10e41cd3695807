"""Something that generates text, to be compared with others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """Generated token ids, the end-of-text token included, and how many seconds of wall clock they took."""

    tokens: list[int]
    seconds: float


class Contender(ABC):
    """Generates greedily, one answer at a time, on one thread."""

    name: str

    @abstractmethod
    def generate(self, prompt: Sequence[int], max_new_tokens: int) -> Answer:
        """Generates up to the end of the text or `max_new_tokens`."""
