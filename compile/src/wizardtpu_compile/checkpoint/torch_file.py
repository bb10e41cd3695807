"""`.bin` files as torch has written them since 1.6: a zip of raw storages with a pickled table of contents.

The entries are `<root>/data.pkl`, `<root>/data/<key>` for each storage, and, not always, `<root>/byteorder`.
Source: the module documentation of torch.serialization.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from wizardtpu_compile.checkpoint.tensor_file import DTYPES, StoredTensor, TensorFile, span
from wizardtpu_compile.checkpoint.torch_pickle import PickleError, TorchTensor, read_pickle
from wizardtpu_compile.errors import CheckpointError

_CONTENTS = "data.pkl"
_BYTEORDER = "byteorder"
_ZIP_START = b"PK\x03\x04"
_LEGACY_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # a pickled magic number: torch before 1.6
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # what begins an entry: signature, lengths of the name and of the extras
_ENCRYPTED = 1  # bit of an entry's flags

_MAX_BYTES = 8 << 20  # of a table of contents, which has about 200 for each tensor


def open_torch_file(path: Path) -> TensorFile:
    """Opens a `.bin` file without torch. Nothing in it is run, and no tensor is read.

    Raises:
        CheckpointError: it is damaged, of another kind, or holds more than tensors by name; or a tensor's elements
            are not all there.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        _check_kind(path, file)
        try:
            with ZipFile(file) as archive:
                return TensorFile(path, _Archive(file, archive).tensors())
        except PickleError as error:
            raise CheckpointError(
                f"{path} is no table of tensors alone: {error}. Save the model's state_dict, or take safetensors"
            ) from None
        except (BadZipFile, NotImplementedError, EOFError, ValueError, struct.error) as error:
            raise CheckpointError(
                f"{path} is not a whole torch checkpoint: {error}. Download it again, or take safetensors"
            ) from None


def _check_kind(path: Path, file: BinaryIO) -> None:
    start = file.read(len(_LEGACY_START))
    if start == _LEGACY_START:
        raise CheckpointError(
            f"{path} is of the form that torch wrote before version 1.6. Convert it, with torch: "
            "torch.save(torch.load(path, weights_only=True), path)"
        )
    if not start.startswith(_ZIP_START):
        raise CheckpointError(f"{path} is not a whole torch checkpoint: it does not begin like one")


@dataclass(frozen=True)
class _Archive:
    """The zip; what is wrong with it is raised as ValueError or BadZipFile."""

    file: BinaryIO
    archive: ZipFile

    def tensors(self) -> dict[str, StoredTensor]:
        entries = self._entries()
        if _BYTEORDER in entries and self._read(entries[_BYTEORDER]) != b"little":
            raise ValueError("its numbers are not little-endian")
        if _CONTENTS not in entries:
            raise ValueError(f"it has no {_CONTENTS}")
        tensors = read_pickle(self._read(entries[_CONTENTS]))
        return {name: self._located(name, tensor, entries) for name, tensor in tensors.items()}

    def _entries(self) -> dict[str, ZipInfo]:
        """Entries by their name below the root, which all have in common."""
        entries: dict[str, ZipInfo] = {}
        for info in self.archive.infolist():
            name = info.filename.partition("/")[2]
            if name in entries:
                raise ValueError(f"it has two entries {name!r}")
            entries[name] = info
        return entries

    def _read(self, entry: ZipInfo) -> bytes:
        if _plain(entry).file_size > _MAX_BYTES:
            raise ValueError(f"entry {entry.filename!r} is larger than {_MAX_BYTES} bytes")
        return self.archive.read(entry)

    def _located(self, name: str, tensor: TorchTensor, entries: dict[str, ZipInfo]) -> StoredTensor:
        storage = tensor.storage
        key = f"data/{storage.key}"
        entry = entries.get(key)
        if entry is None:
            raise ValueError(f"the elements of tensor {name!r} are missing (entry {key!r})")
        if tensor.offset + span(tensor.shape, tensor.strides) > storage.elements:
            raise ValueError(f"tensor {name!r} reaches beyond its elements (entry {key!r})")
        if storage.dtype not in DTYPES:
            return StoredTensor(storage.dtype, tensor.shape, tensor.strides, 0)  # never read
        size = DTYPES[storage.dtype].itemsize
        if entry.file_size < storage.elements * size:
            raise ValueError(f"tensor {name!r} is cut off (entry {key!r})")
        position = self._start(_plain(entry)) + tensor.offset * size
        return StoredTensor(storage.dtype, tensor.shape, tensor.strides, position)

    def _start(self, entry: ZipInfo) -> int:
        """Position of an entry's first byte: its own header may be longer than the one in the directory."""
        self.file.seek(entry.header_offset)
        header = self.file.read(_LOCAL_HEADER.size)
        signature, name, extras = _LOCAL_HEADER.unpack(header)
        start = entry.header_offset + len(header) + int(name) + int(extras)
        if signature != _ZIP_START:
            raise ValueError(f"entry {entry.filename!r} is not where it should be")
        return start


def _plain(entry: ZipInfo) -> ZipInfo:
    if entry.compress_type != ZIP_STORED or entry.flag_bits & _ENCRYPTED or entry.file_size != entry.compress_size:
        raise ValueError(f"entry {entry.filename!r} is compressed or encrypted, which torch never does")
    return entry
