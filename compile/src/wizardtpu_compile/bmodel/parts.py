"""Puts the networks of several bmodels into one: their binaries, and their descriptions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from wizardtpud.errors import BmodelError
from wizardtpud.model.bmodel import schema
from wizardtpud.model.bmodel.header import DAMAGED
from wizardtpud.model.bmodel.model import network_name
from wizardtpud.model.bmodel.reading import Contents, binaries

from wizardtpu_compile.bmodel.sections import Sections, digest

_LARGEST_CODED = 1 << 29
"""Bytes from which on the compiler's check codes are no sha256 of the binary any more, but still tell it apart."""


def store(part: Contents, sections: Sections) -> None:
    """Stores the binaries of a part and makes its description refer to them there.

    Raises:
        BmodelError: weights are not those the compiler wrote.
    """
    codes = _check_codes(part.description)
    moved: dict[tuple[int, int], int] = {(0, 0): 0}
    with part.path.open("rb") as source:
        for binary in binaries(part.description):
            where = (binary.start, binary.size) if binary.size else (0, 0)
            if where not in moved:
                offset = part.header.start + binary.start
                sha256 = digest(source, offset, binary.size)
                if codes.get(where, sha256) != sha256:
                    raise BmodelError(f"{part.path}: the weights are not those of its check code: {DAMAGED}")
                moved[where] = sections.store(source, offset, binary.size, sha256)
            binary.start = moved[where]


def merge(parts: Sequence[Contents], other: schema.Model | None) -> schema.Model:
    """One description of the networks of parts whose binaries are stored, to go with `other`.

    Raises:
        BmodelError: they cannot be in one file.
    """
    common = _common(other or parts[0].description)
    for part in parts:
        _check_common(part, common)
    return dataclasses.replace(common, net=[net for part in parts for net in part.description.net])


def _check_codes(description: schema.Model) -> dict[tuple[int, int], str]:
    """The sha256 that binaries should have, by their start and size; without encrypted ones."""
    stages = (stage for net in description.net for stage in net.parameter or ())
    return {
        (coeff.binary_coeff.start, coeff.binary_coeff.size): bytes(coeff.check_code).hex()
        for coeff in (stage.coeff_mem for stage in stages)
        if coeff and coeff.binary_coeff and coeff.check_code and not coeff.encrypt_mode
        if coeff.binary_coeff.size < _LARGEST_CODED
    }


def _common(description: schema.Model) -> schema.Model:
    """What all parts must agree on. Without the time, so that equal parts make equal files."""
    return dataclasses.replace(description, net=[], time="", neuron_size=0)


def _check_common(part: Contents, others: schema.Model) -> None:
    """Equal binaries are stored once, so equal references are equal contents."""
    mine = _common(part.description)
    for field in dataclasses.fields(schema.Model):
        if getattr(mine, field.name) != getattr(others, field.name):
            raise BmodelError(
                f"{part.path}: its {field.name} is not that of the other networks; "
                "compile all for one chip and number of devices, with one toolchain"
            )


def all_names(nets: Iterable[schema.Net]) -> set[str]:
    """Names that no other network of a file may have."""
    return {name for net in nets for name in (net.name, network_name(net))}
