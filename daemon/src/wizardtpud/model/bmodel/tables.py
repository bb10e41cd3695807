"""How dataclasses describe the tables of a flatbuffer: fields are in the order of their ids.

The annotation of a field is its type: one of the numbers below, `str`, an `Inline` struct, a `Table`, or a list of
these. A field without a default is required; others than numbers are `None` if they are absent.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from dataclasses import dataclass
from struct import calcsize
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

OFFSET_SIZE = 4
"""Bytes of a reference, of the length of a vector, and of what a table begins with."""


@dataclass(frozen=True)
class Scalar:
    """A little-endian number: its name in the flatbuffers library, and its letter in `struct`."""

    name: str
    letter: str

    @property
    def width(self) -> int:
        return calcsize("<" + self.letter)


U8 = Annotated[int, Scalar("Uint8", "B")]
U32 = Annotated[int, Scalar("Uint32", "I")]
I32 = Annotated[int, Scalar("Int32", "i")]
U64 = Annotated[int, Scalar("Uint64", "Q")]
F32 = Annotated[float, Scalar("Float32", "f")]


class Table:
    """Base of the tables: stored anywhere, fields may be absent, later versions may add some."""

    __slots__ = ()


class Inline:
    """Base of the structs: scalars alone, stored where they are used."""

    __slots__ = ()


@dataclass(frozen=True)
class Text:
    width = OFFSET_SIZE


@dataclass(frozen=True)
class InlineKind:
    type: type[Inline]
    scalars: tuple[Scalar, ...]

    @property
    def width(self) -> int:
        return calcsize(self.format)

    @property
    def format(self) -> str:
        return "<" + "".join(scalar.letter for scalar in self.scalars)


@dataclass(frozen=True)
class TableKind:
    type: type[Table]
    width = OFFSET_SIZE


@dataclass(frozen=True)
class Vector:
    element: Element
    width = OFFSET_SIZE


Element = Scalar | Text | InlineKind | TableKind
Kind = Element | Vector


@dataclass(frozen=True)
class Slot:
    """A field of a table; `default` is what an absent one has."""

    name: str
    kind: Kind
    required: bool
    default: Any


T = TypeVar("T", bound=Table)


def slots(table: type[Table]) -> tuple[Slot, ...]:
    """The fields of a table in the order of their ids."""
    return _slots(table)  # type: ignore[arg-type]  # classes are hashable, whatever their instances are


@functools.cache
def _slots(table: Any) -> tuple[Slot, ...]:
    hints = get_type_hints(table, include_extras=True)
    return tuple(
        Slot(field.name, _kind(hints[field.name]), field.default is dataclasses.MISSING, field.default)
        for field in dataclasses.fields(table)
    )


def _kind(hint: Any) -> Kind:
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (alternative for alternative in get_args(hint) if alternative is not type(None))
    if get_origin(hint) is list:
        return Vector(_element(get_args(hint)[0]))
    return _element(hint)


def _element(hint: Any) -> Element:
    if hint is str:
        return Text()
    if get_origin(hint) is Annotated:
        scalar: Scalar = hint.__metadata__[0]
        return scalar
    if issubclass(hint, Inline):
        return InlineKind(hint, tuple(_scalars(hint)))
    return TableKind(hint)


def _scalars(struct: type[Inline]) -> list[Scalar]:
    return [hint.__metadata__[0] for hint in get_type_hints(struct, include_extras=True).values()]
