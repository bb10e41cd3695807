"""Which devices the daemon has, and which of them work together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from typing_extensions import Self


class DeviceGroups(tuple[tuple[int, ...], ...]):
    """Groups of device numbers, counted from 0: the devices of a group run one engine together.

    Several groups are replicas of each other. No device is in two of them, and each has at least one.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, given: str | Sequence[object]) -> Self:
        """Reads groups, as lists of lists or as text: spaces between groups, commas within.

        Raises:
            ValueError: they are none; the text says why.
        """
        if isinstance(given, str):
            return cls.parse([[_number(word) for word in group.split(",")] for group in given.split()])
        groups = cls(_group(group) for group in given)
        if not groups:
            raise ValueError("at least one group is needed")
        numbers = list(chain.from_iterable(groups))
        for number in numbers:
            if numbers.count(number) > 1:
                raise ValueError(f"device {number} is named twice")
        return groups


def _group(given: object) -> tuple[int, ...]:
    if not isinstance(given, list):
        raise ValueError("every group is a list of device numbers, as in [[0], [1]]")  # noqa: TRY004 - see Raises
    if not given:
        raise ValueError("a group needs at least one device")
    for number in given:
        if type(number) is not int or number < 0:
            raise ValueError(f"{number!r} is not a device number, which is a whole number from 0 on")
    return tuple(given)


def _number(word: str) -> int | str:
    """The number if it is one, else the word, for the error."""
    return int(word) if word.isascii() and word.isdigit() else word
