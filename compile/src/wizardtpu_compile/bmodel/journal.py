"""What a growing bmodel holds, in a file beside it: a line for each key, written when its binaries are safe."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
from wizardtpud.errors import BmodelError


class Section(msgspec.Struct, frozen=True):
    """A binary that is stored; `start` is its offset among the binaries."""

    sha256: str
    start: int
    size: int


class Entry(msgspec.Struct, frozen=True):
    """What was added under a key.

    Attributes:
        room: bytes before the first binary of the file; the same in all entries.
        end: size of the file with this entry and all before it.
        sections: the binaries that this entry brought.
        description: a flatbuffer with the entry's networks, as they are in the file.
    """

    key: str
    room: int
    end: int
    sections: list[Section]
    description: bytes


class Journal:
    """The entries of a file, in the order they were added."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ends: list[int] = []  # of the lines

    def read(self) -> list[Entry]:
        """The entries that were written whole. The first line that was not ends them.

        Raises:
            BmodelError: the journal is of another version.
        """
        content = self.path.read_bytes() if self.path.exists() else b""
        entries = list(_whole_entries(content, self.path))
        self._ends = [end for end, _ in entries]
        return [entry for _, entry in entries]

    def create(self) -> None:
        """Makes it, if it is not there."""
        os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o666))

    def append(self, entry: Entry) -> None:
        """Adds an entry, durably. If that fails, what was written of it does not count."""
        end = self._ends[-1] if self._ends else 0
        line = _line(entry)
        with self.path.open("r+b") as file:
            file.truncate(end)
            file.seek(end)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self._ends.append(end + len(line))

    def keep(self, count: int) -> None:
        """Forgets all entries but the first `count`, durably."""
        self._ends = self._ends[:count]
        with self.path.open("r+b") as file:
            file.truncate(self._ends[-1] if self._ends else 0)
            os.fsync(file.fileno())


def _line(entry: Entry) -> bytes:
    content = msgspec.json.encode(entry)
    return b"%08x %s\n" % (zlib.crc32(content), content)


def _whole_entries(content: bytes, path: Path) -> Iterator[tuple[int, Entry]]:
    """Entries and where their lines end."""
    end = 0
    for line in content.splitlines(keepends=True):
        checksum, _, entry = line.removesuffix(b"\n").partition(b" ")
        if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(entry):
            return
        end += len(line)
        try:
            yield end, msgspec.json.decode(entry, type=Entry)
        except msgspec.DecodeError:
            raise BmodelError(f"{path} is of another version; remove it to begin anew") from None
