"""Reads what a bmodel holds, but for the binaries themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wizardtpud.errors import BmodelError
from wizardtpud.model.bmodel import schema
from wizardtpud.model.bmodel.decoding import decode
from wizardtpud.model.bmodel.header import DAMAGED, HEADER_SIZE, TRUNCATED, Header
from wizardtpud.model.bmodel.model import Model
from wizardtpud.model.bmodel.tables import Table

MAX_DESCRIPTION = 32 << 20
"""Bytes: some thousands of networks. A damaged header could ask for much more memory."""


@dataclass(frozen=True)
class Contents:
    """A bmodel's description, and where its binaries are in the file."""

    path: Path
    description: schema.Model
    header: Header


def read_model(path: Path) -> Model:
    """The networks of a bmodel.

    Raises:
        BmodelError: the file is no bmodel, damaged, or made by a newer compiler.
        OSError: it cannot be read.
    """
    contents = read_contents(path)
    try:
        return Model.of(contents.description)
    except BmodelError as error:
        raise _about(path, error) from None


def read_contents(path: Path) -> Contents:
    """The whole description.

    Raises:
        BmodelError, OSError: as `read_model`.
    """
    try:
        return _read(path)
    except BmodelError as error:
        raise _about(path, error) from None


def binaries(table: Table) -> Iterator[schema.Binary]:
    """Every reference to a binary in a table and in all it refers to."""
    pending: list[Any] = [table]
    while pending:
        value = pending.pop()
        if isinstance(value, schema.Binary):
            yield value
        elif isinstance(value, Table):
            fields = dataclasses.fields(value)  # type: ignore[arg-type]  # every table is a dataclass
            pending.extend(getattr(value, field.name) for field in reversed(fields))
        elif isinstance(value, list) and value and not isinstance(value[0], int):
            pending.extend(reversed(value))


def _read(path: Path) -> Contents:
    with path.open("rb") as file:
        header = Header.unpack(file.read(HEADER_SIZE))
        size = file.seek(0, 2)
        if size < header.start + header.binaries:
            raise BmodelError(f"{size} bytes instead of {header.start + header.binaries}: {TRUNCATED}")
        if header.description > MAX_DESCRIPTION:
            raise BmodelError(f"a description of {header.description} bytes: {DAMAGED}")
        file.seek(HEADER_SIZE)
        description = decode(file.read(header.description), schema.Model)
    for binary in binaries(description):
        if binary.size and binary.start + binary.size > header.binaries:
            raise BmodelError(f"a reference behind its end: {DAMAGED}")
    return Contents(path, description, header)


def _about(path: Path, error: BmodelError) -> BmodelError:
    return BmodelError(f"{path}: {error}")
