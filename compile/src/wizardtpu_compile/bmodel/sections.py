"""Appends binaries to a file, each content once, without ever having one in memory."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from wizardtpud.errors import BmodelError
from wizardtpud.model.bmodel.header import TRUNCATED, aligned

from wizardtpu_compile.bmodel.journal import Section

_CHUNK = 1 << 20
_CANNOT_COPY = (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)  # within the kernel


class Sections:
    """Writes after what is stored already.

    Attributes:
        end: where the next binary goes in the file.
        added: what was appended.
    """

    def __init__(self, file: BinaryIO, room: int, end: int, stored: Iterable[Section]) -> None:
        self.end = end
        self.added: list[Section] = []
        self._file, self._room = file, room
        self._starts = {(section.sha256, section.size): section.start for section in stored}

    def store(self, source: BinaryIO, offset: int, size: int, sha256: str) -> int:
        """Where a binary is stored, relative to the first; copied if it is new."""
        if (sha256, size) not in self._starts:
            start = self.end - self._room
            copy(source, offset, self._file, self.end, size)
            self.end = aligned(self.end + size)
            self._file.truncate(self.end)
            self._starts[sha256, size] = start
            self.added.append(Section(sha256, start, size))
        return self._starts[sha256, size]


def digest(file: BinaryIO, offset: int, size: int) -> str:
    """The sha256 of a part of a file.

    Raises:
        BmodelError: the file is too short.
    """
    computed = hashlib.sha256()
    for chunk in _chunks(file, offset, size):
        computed.update(chunk)
    return computed.hexdigest()


def copy(source: BinaryIO, offset: int, target: BinaryIO, position: int, size: int) -> None:
    """Copies a part of a file, within the kernel where it can: some file systems then share the blocks.

    Raises:
        BmodelError: the source is too short.
    """
    done = 0
    try:
        while done < size:
            count = os.copy_file_range(
                source.fileno(), target.fileno(), size - done, offset + done, position + done
            )
            if not count:
                raise BmodelError(f"{source.name}: {TRUNCATED}")
            done += count
    except OSError as error:
        if error.errno not in _CANNOT_COPY:
            raise
        for chunk in _chunks(source, offset + done, size - done):
            write(target, chunk, position + done)
            done += len(chunk)


def _chunks(file: BinaryIO, offset: int, size: int) -> Iterator[bytes]:
    end = offset + size
    while offset < end:
        chunk = os.pread(file.fileno(), min(_CHUNK, end - offset), offset)
        if not chunk:
            raise BmodelError(f"{file.name}: {TRUNCATED}")
        yield chunk
        offset += len(chunk)


def write(file: BinaryIO, content: bytes, position: int) -> None:
    """Writes all of it."""
    done = 0
    while done < len(content):
        done += os.pwrite(file.fileno(), content[done:], position + done)
