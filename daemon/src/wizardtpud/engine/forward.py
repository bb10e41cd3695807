"""The model as the engine sees it: token ids in, what follows them out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from wizardtpud.engine.head import Head


class Forward(ABC):
    """The forward pass over a device's networks, for several sequences with a cache slot each.

    There is an implementation for each layout that networks come in.

    Attributes:
        slots: how many sequences have room.
        context: how many tokens a sequence may have, prompt and answer together.
        vocabulary: token ids are below this.
        head: tells what may follow the token that was read last.
    """

    slots: int
    context: int
    vocabulary: int
    head: Head

    @abstractmethod
    def read(self, slot: int, tokens: Sequence[int], cached: int) -> int:
        """Reads a sequence further into a slot, as far as one step goes.

        Args:
            slot: where its history is.
            tokens: all of the sequence, at most `context`.
            cached: how many of them the slot holds already, less than all.

        Returns:
            How many the slot holds now.

        Raises:
            DeviceError: a launch failed.
        """

    @abstractmethod
    def clear(self, slot: int) -> None:
        """Makes the history of a slot zero: what is not a number there would be seen through any mask."""
