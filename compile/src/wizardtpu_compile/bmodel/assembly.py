"""A bmodel that grows as networks are compiled, and survives the end of the process at any moment.

Space for its header and description is left free at the beginning of the file, and binaries are appended, so no
second copy is ever made. What the file holds is in a journal beside it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from typing_extensions import Self
from wizardtpud.errors import BmodelError
from wizardtpud.model.bmodel import schema
from wizardtpud.model.bmodel.decoding import decode
from wizardtpud.model.bmodel.header import HEADER_SIZE, Header, aligned
from wizardtpud.model.bmodel.model import network_name, scratch_size
from wizardtpud.model.bmodel.reading import Contents, read_contents

from wizardtpu_compile.bmodel.encoding import encode
from wizardtpu_compile.bmodel.journal import Entry, Journal, Section
from wizardtpu_compile.bmodel.parts import all_names, merge, store
from wizardtpu_compile.bmodel.sections import Sections, digest, write
from wizardtpu_compile.disk import put, sync

ROOM = 4 << 20
"""Bytes left for the description unless told otherwise: a network of one layer takes about 4000."""


@dataclass(frozen=True)
class Finished:
    """The whole file: its sha256 in hexadecimal, and its size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class _Key:
    entry: Entry
    description: schema.Model


class Assembly:
    """A growing bmodel. One process at a time may have it, and one thread at a time may change it."""

    def __init__(self, path: Path, journal: Journal, room: int) -> None:
        self.path = path
        self.journal = journal.path
        self._journal = journal
        self._room = aligned(room)
        self._keys: list[_Key] = []

    @classmethod
    def open(cls, path: Path, room: int = ROOM) -> Self:
        """Begins a file, or goes on with one that was not finished, or was: with the keys that it holds whole.

        Args:
            path: the bmodel. Its journal, `<path>.journal`, is to be removed by whoever needs it no more.
            room: bytes to leave for header and description, if the file begins now.

        Raises:
            BmodelError: there is a file without a journal.
        """
        assembly = cls(path, Journal(path.with_name(f"{path.name}.journal")), room)
        if not assembly.journal.exists() and path.exists() and path.stat().st_size:
            raise BmodelError(f"{path} exists and is not under construction; remove it, or choose another path")
        assembly._resume()
        return assembly

    @property
    def keys(self) -> tuple[str, ...]:
        """What was added, in this order."""
        return tuple(key.entry.key for key in self._keys)

    def contains(self, key: str) -> bool:
        return key in self.keys

    def add(self, key: str, parts: Sequence[Path]) -> None:
        """Appends all networks of some bmodels. When it returns they are safe, and the parts may go.

        Binaries that the file has already are not stored again: the weights that shapes of a layer share, the
        instructions that layers share, the kernel module.

        Raises:
            BmodelError: a part is no bmodel, is damaged, is for another chip or of another compiler than the file,
                or has a network of a name that the file has.
            OSError: reading or writing failed.

        Nothing is lost when it fails; but a file that was finished has to be finished again.
        """
        self.add_contents(key, [read_contents(part) for part in parts])

    def add_contents(self, key: str, contents: Sequence[Contents]) -> None:
        """Appends networks of bmodels that have been read; as `add`.

        Raises:
            BmodelError, OSError: as `add`.
        """
        if self.contains(key):
            raise BmodelError(f"{self.path} has {key} already")
        self._check_names(contents)
        with self._changing() as file:
            sections = Sections(file, self._room, max(self._room, self._end), self._sections())
            for part in contents:
                store(part, sections)
            description = merge(contents, self._keys[0].description if self._keys else None)
            os.fsync(file.fileno())
            entry = Entry(key, self._room, sections.end, sections.added, encode(description))
            self._check_room(entry)
            self._journal.append(entry)
        self._keys.append(_Key(entry, description))

    def retain(self, keys: Collection[str]) -> None:
        """Drops every key that is not among `keys`, and every key that was added after one that is dropped.

        Later keys may use binaries of earlier ones, and their place. What went has to be added again.
        """
        kept = list(itertools.takewhile(lambda key: key.entry.key in keys, self._keys))
        if len(kept) < len(self._keys):
            with self._changing():
                self._journal.keep(len(kept))
                self._keys = kept
            self._trim()

    def finish(self) -> Finished:
        """Makes the file a bmodel that can be loaded. It may be added to and finished again.

        Raises:
            BmodelError: nothing was added.
            OSError: reading or writing failed.
        """
        description = encode(self._description()).ljust(self._room - HEADER_SIZE, b"\0")
        header = Header(len(description), self._end - self._room)
        if header.start != self._room:
            raise BmodelError(_too_small(self.path, self._room))
        with self.path.open("r+b", buffering=0) as file:
            write(file, description, HEADER_SIZE)
            os.fsync(file.fileno())
            write(file, header.pack(), 0)
            os.fsync(file.fileno())
            return Finished(digest(file, 0, self._end), self._end)

    @property
    def _end(self) -> int:
        """Size of the file."""
        return self._keys[-1].entry.end if self._keys else 0

    def _resume(self) -> None:
        entries = self._journal.read()
        size = self.path.stat().st_size if self.path.exists() else 0
        kept = list(itertools.takewhile(lambda entry: entry.end <= size, entries))
        self._journal.create()
        self._journal.keep(len(kept))
        self._keys = [_Key(entry, decode(entry.description, schema.Model)) for entry in kept]
        self._room = kept[0].room if kept else self._room
        self._trim()

    def _trim(self) -> None:
        """Cuts off what no entry vouches for."""
        if not self.path.exists() or self.path.stat().st_size != self._end:
            self._unshare()
            with self.path.open("ab") as file:
                file.truncate(self._end)
        sync(self.path.parent)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[BinaryIO]:
        """The file, which is no bmodel from now on; what was appended goes if the block raises."""
        self._unshare()
        with self.path.open("r+b", buffering=0) as file:
            if self._end:
                write(file, bytes(HEADER_SIZE), 0)
                os.fsync(file.fileno())
            try:
                yield file
            except BaseException:
                with contextlib.suppress(OSError):
                    file.truncate(self._end)
                raise

    def _unshare(self) -> None:
        """A bundle that the finished file was linked to, and has it under another name, keeps it as it is."""
        if self.path.exists() and self.path.stat().st_nlink > 1:
            copied = self.path.with_name(f".{self.path.name}.copied")
            shutil.copyfile(self.path, copied)
            put(copied, self.path)

    def _sections(self) -> Iterable[Section]:
        return itertools.chain.from_iterable(key.entry.sections for key in self._keys)

    def _check_names(self, parts: Iterable[Contents]) -> None:
        """The runtime knows networks by their names alone."""
        taken = {name for key in self._keys for name in all_names(key.description.net)}
        for part in parts:
            nets = part.description.net
            names = all_names(nets)
            if len({net.name for net in nets}) < len(nets):
                raise BmodelError(f"{part.path}: two of its networks have one name; compile it again")
            if shared := sorted(names & taken):
                raise BmodelError(f"{part.path}: {self.path} has a network {shared[0]} already; rename one")
            taken |= names

    def _check_room(self, entry: Entry) -> None:
        used = sum(len(key.entry.description) for key in self._keys) + len(entry.description)
        if used > self._room - HEADER_SIZE:
            raise BmodelError(_too_small(self.path, self._room))

    def _description(self) -> schema.Model:
        """All networks, the one that needs most scratch memory before the others.

        The runtime makes that memory larger when it meets a network that needs more, and keeps the smaller one.
        """
        if not self._keys:
            raise BmodelError(f"{self.path} has no networks; add some first")
        nets = [net for key in self._keys for net in key.description.net]
        largest = max(nets, key=_scratch)
        nets.sort(key=lambda net: network_name(net) != network_name(largest))
        return dataclasses.replace(self._keys[0].description, net=nets, neuron_size=_scratch(largest))


def _scratch(net: schema.Net) -> int:
    return max(map(scratch_size, net.parameter or ()), default=0)


def _too_small(path: Path, room: int) -> str:
    return f"{path}: {room} bytes are too few for the description of all networks; begin it anew with more room"
