"""From tables of the schema to the bytes of a flatbuffer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import flatbuffers
from wizardtpud.model.bmodel.tables import Inline, InlineKind, Kind, Scalar, Table, Text, Vector, slots


def encode(root: Table) -> bytes:
    """A flatbuffer that holds a table and all it refers to. Equal tables give equal bytes."""
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(_table(builder, root))
    return bytes(builder.Output())


def _table(builder: Any, table: Table) -> int:
    fields = [(slot, getattr(table, slot.name)) for slot in slots(type(table))]
    placed = [_place(builder, slot.kind, value) for slot, value in fields]
    builder.StartObject(len(fields))
    for index, ((slot, value), offset) in enumerate(zip(fields, placed, strict=True)):
        if isinstance(slot.kind, Scalar):
            getattr(builder, f"Prepend{slot.kind.name}Slot")(index, value, slot.default)
        elif value is None:
            continue
        elif isinstance(slot.kind, InlineKind):
            builder.PrependStructSlot(index, _inline(builder, slot.kind, value), 0)
        else:
            builder.PrependUOffsetTRelativeSlot(index, offset, 0)
    end: int = builder.EndObject()
    return end


def _place(builder: Any, kind: Kind, value: Any) -> int:
    """Writes what lies outside of the table that has it: where it is now; 0 for what lies inside."""
    if value is None or isinstance(kind, Scalar | InlineKind):
        return 0
    if isinstance(kind, Vector):
        return _vector(builder, kind, value)
    offset: int = builder.CreateString(value) if isinstance(kind, Text) else _table(builder, value)
    return offset


def _vector(builder: Any, kind: Vector, values: Sequence[Any]) -> int:
    element = kind.element
    placed = [_place(builder, element, value) for value in values]
    alignment = max(s.width for s in element.scalars) if isinstance(element, InlineKind) else element.width
    builder.StartVector(element.width, len(values), alignment)
    for value, offset in zip(reversed(values), reversed(placed), strict=True):  # built from the end
        if isinstance(element, Scalar):
            getattr(builder, f"Prepend{element.name}")(value)
        elif isinstance(element, InlineKind):
            _inline(builder, element, value)
        else:
            builder.PrependUOffsetTRelative(offset)
    end: int = builder.EndVector()
    return end


def _inline(builder: Any, kind: InlineKind, value: Inline) -> int:
    builder.Prep(max(scalar.width for scalar in kind.scalars), kind.width)
    numbers = [getattr(value, field.name) for field in dataclasses.fields(value)]  # type: ignore[arg-type]
    for scalar, number in zip(reversed(kind.scalars), reversed(numbers), strict=True):
        getattr(builder, f"Prepend{scalar.name}")(number)
    offset: int = builder.Offset()
    return offset
