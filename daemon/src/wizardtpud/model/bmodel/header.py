"""What a bmodel begins with.

header        64 bytes
description   a flatbuffer and zeros, so that the next section begins at a multiple of 4096
binaries      weights, instructions and programs, each from a multiple of 4096 on
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from typing_extensions import Self

from wizardtpud.errors import BmodelError

ALIGNMENT = 4096
"""Where binaries may begin: whole pages can be mapped, and copied without being read."""
HEADER_SIZE = 64

_CURE = "compile it again, or copy it again from where it is whole"
DAMAGED = f"the file is damaged; {_CURE}"
TRUNCATED = f"the file is truncated; {_CURE}"

_MAGIC = 0xFF55AAEE
_FIELDS = struct.Struct("<IIIQ44s")  # magic, size of the header, of the description, of the binaries, zeros
_ZEROS = bytes(44)


@dataclass(frozen=True)
class Header:
    """Sizes in bytes of the two sections that follow."""

    description: int
    binaries: int

    @property
    def start(self) -> int:
        """Where the binaries begin in the file."""
        return HEADER_SIZE + self.description

    def pack(self) -> bytes:
        return _FIELDS.pack(_MAGIC, HEADER_SIZE, self.description, self.binaries, _ZEROS)

    @classmethod
    def unpack(cls, content: bytes) -> Self:
        """The header of a file that begins so.

        Raises:
            BmodelError: it is no bmodel, or one of another kind.
        """
        if len(content) < HEADER_SIZE:
            raise BmodelError(f"{len(content)} bytes are no bmodel; give the file that the compiler wrote")
        magic, size, description, binaries, rest = _FIELDS.unpack(content[:HEADER_SIZE])
        if magic != _MAGIC:
            raise BmodelError("not a bmodel, or not finished; give the file that the compiler wrote")
        if size != HEADER_SIZE or rest != _ZEROS:
            raise BmodelError(f"an encrypted bmodel, which cannot be read here, or {DAMAGED}")
        return cls(description, binaries)


def aligned(size: int) -> int:
    """The next multiple of `ALIGNMENT`."""
    return -(-size // ALIGNMENT) * ALIGNMENT
