"""From the bytes of a flatbuffer to the tables of the schema; of hostile bytes at most an error comes."""

from __future__ import annotations

import struct
from typing import Any

from wizardtpud.errors import BmodelError
from wizardtpud.model.bmodel.header import DAMAGED
from wizardtpud.model.bmodel.tables import (
    OFFSET_SIZE,
    InlineKind,
    Kind,
    Scalar,
    Slot,
    T,
    Table,
    TableKind,
    Text,
    Vector,
    slots,
)


def decode(buffer: bytes, root: type[T]) -> T:
    """The table that a flatbuffer holds; what follows it in `buffer` does not matter.

    Raises:
        BmodelError: the bytes are no flatbuffer of this schema, or of a later one and using what that added.
    """
    table = _Decoder(buffer).reference(TableKind(root), 0)
    assert isinstance(table, root)
    return table


_SHARED = 8


class _Decoder:
    """Checks every position before it reads there.

    Bytes that are referred to many times could become far more than there are. The vendor's compiler refers to
    some twice, such as to where addresses are to be put in; so all that is read together may be a few times as
    much as the buffer.
    """

    def __init__(self, buffer: bytes) -> None:
        self._buffer = buffer
        self._unread = _SHARED * len(buffer)

    def reference(self, kind: Text | TableKind | Vector, position: int) -> Any:
        """What the reference at a position leads to."""
        (distance,) = self._unpack("<I", position)
        target = position + distance
        if isinstance(kind, TableKind):
            return self._table(kind.type, target)
        (count,) = self._unpack("<I", target)
        return self._text(target, count) if isinstance(kind, Text) else self._vector(kind, target, count)

    def _table(self, table: type[Table], position: int) -> Table:
        offsets, size = self._vtable(position)
        known = slots(table)
        if len(offsets) > len(known):
            raise BmodelError(
                f"a {table.__name__} has more than the {len(known)} fields known here, so a newer compiler made "
                "it; compile it with the toolchain that wizardtpu-compile installs"
            )
        self._account(position, size)
        offsets += (0,) * (len(known) - len(offsets))
        values = (
            self._field(table, slot, position, offset, size) for slot, offset in zip(known, offsets, strict=True)
        )
        return table(*values)

    def _vtable(self, table: int) -> tuple[tuple[int, ...], int]:
        """Where the fields of a table are from its beginning, 0 for absent ones, and the table's size."""
        (distance,) = self._unpack("<i", table)
        position = table - distance
        length, size = self._unpack("<HH", position)
        if length < OFFSET_SIZE or length % 2:
            raise _damaged()
        return self._unpack(f"<{(length - OFFSET_SIZE) // 2}H", position + OFFSET_SIZE), size

    def _field(self, table: type[Table], slot: Slot, position: int, offset: int, size: int) -> Any:
        if not offset:
            if slot.required:
                raise BmodelError(f"a {table.__name__} lacks its {slot.name}: {DAMAGED}")
            return slot.default
        if offset < OFFSET_SIZE or offset + slot.kind.width > size:
            raise _damaged()
        return self._value(slot.kind, position + offset)

    def _value(self, kind: Kind, position: int) -> Any:
        if isinstance(kind, Scalar):
            return self._unpack("<" + kind.letter, position)[0]
        if isinstance(kind, InlineKind):
            return kind.type(*self._unpack(kind.format, position))
        return self.reference(kind, position)

    def _vector(self, kind: Vector, position: int, count: int) -> list[Any]:
        element, start = kind.element, position + OFFSET_SIZE
        self._account(position, OFFSET_SIZE + count * element.width)
        if isinstance(element, Scalar):
            return list(self._unpack(f"<{count}{element.letter}", start))
        return [self._value(element, start + index * element.width) for index in range(count)]

    def _text(self, position: int, length: int) -> str:
        self._account(position, OFFSET_SIZE + length)
        start = position + OFFSET_SIZE
        try:
            return self._buffer[start : start + length].decode()
        except UnicodeDecodeError:
            raise _damaged() from None

    def _account(self, position: int, size: int) -> None:
        self._unread -= size
        if self._unread < 0 or position + size > len(self._buffer):
            raise _damaged()

    def _unpack(self, layout: str, position: int) -> tuple[Any, ...]:
        if position < 0 or position + struct.calcsize(layout) > len(self._buffer):
            raise _damaged()
        return struct.unpack_from(layout, self._buffer, position)


def _damaged() -> BmodelError:
    return BmodelError(f"no readable description: {DAMAGED}")
