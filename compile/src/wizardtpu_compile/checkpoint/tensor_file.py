"""A file that holds tensors, read a few rows at a time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from wizardtpu_compile.errors import CheckpointError, reason

DTYPES: dict[str, np.dtype[Any]] = {
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}
_STRIP = 4 << 20  # bytes read and converted at a time
_SAMPLE = 4096  # bytes of each tensor that its fingerprint looks at


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor is in its file.

    Attributes:
        dtype: numpy's name of the type; only those in DTYPES can be read.
        shape: as torch has it.
        strides: distance of neighbours along each axis, in elements.
        position: of the first element, in bytes from the beginning of the file.
    """

    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    position: int

    @property
    def packed(self) -> bool:
        """Whether its elements follow each other in the file."""
        return self.strides == packed_strides(self.shape)

    @property
    def nbytes(self) -> int:
        """Of the file, from its first element to its last; it must be of a type in DTYPES."""
        return span(self.shape, self.strides) * DTYPES[self.dtype].itemsize

    def rows(self, start: int, stop: int) -> StoredTensor:
        """Some rows (indices of the first axis) of it."""
        position = self.position + start * self.strides[0] * DTYPES[self.dtype].itemsize
        return replace(self, shape=(stop - start, *self.shape[1:]), position=position)


def packed_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides, in elements, of a tensor whose last axis varies fastest and that has no gaps."""
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


def span(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """Elements from a tensor's first to its last, both included, with the gaps between them."""
    if 0 in shape:
        return 0
    return 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))


class TensorFile:
    """Tensors of one file, which is opened anew for each reading.

    It is read, not mapped: mapped pages would count as this process's memory, up to the size of the file.

    Raises:
        CheckpointError: the file ends before one of the tensors does.
    """

    def __init__(self, path: Path, tensors: Mapping[str, StoredTensor]) -> None:
        self.path = path
        self.names = frozenset(tensors)
        self._tensors = tensors
        self._state = _state(path.stat())
        for name, tensor in tensors.items():
            if tensor.dtype in DTYPES and tensor.position + tensor.nbytes > self._state[0]:
                raise CheckpointError(f"{path} ends within tensor {name}: download it again")

    def shape(self, name: str) -> tuple[int, ...]:
        return self._tensors[name].shape

    def dtype(self, name: str) -> str:
        """The type it is stored as, by its name in numpy."""
        return self._tensors[name].dtype

    def read(self, name: str) -> NDArray[np.float32]:
        """The tensor as float32.

        Raises:
            CheckpointError: it is not of a supported type, or the file cannot be read or has changed.
        """
        return self.rows(name, 0, self.shape(name)[0])

    def rows(self, name: str, start: int, stop: int) -> NDArray[np.float32]:
        """Rows `start` to `stop` (indices of the first axis, clipped like a slice's) of a tensor as float32.

        Raises:
            CheckpointError: it is not of a supported type, or the file cannot be read or has changed.
        """
        self.check_dtype(name)
        tensor = self._tensors[name]
        start, stop, _ = slice(start, stop).indices(tensor.shape[0])
        array = np.empty((max(stop - start, 0), *tensor.shape[1:]), np.float32)
        with self._open() as file:
            _fill(array, file, tensor, start)
        return array

    def check_dtype(self, name: str) -> None:
        """Raises CheckpointError if a tensor is not of a supported type."""
        dtype = self.dtype(name)
        if dtype not in DTYPES:
            raise CheckpointError(
                f"{self.path}: tensor {name} is {dtype}, but only {', '.join(DTYPES)} are supported"
            )

    def fingerprint(self, names: Iterable[str]) -> bytes:
        """Changes when these tensors do: see `Checkpoint.fingerprint`.

        Raises:
            CheckpointError: the file cannot be read or has changed since it was opened.
        """
        digest = hashlib.sha256(repr(self._state).encode())
        with self._open() as file:
            for name in sorted(names):
                tensor = self._tensors[name]
                digest.update(repr((name, tensor)).encode())
                digest.update(os.pread(file, min(tensor.nbytes, _SAMPLE), tensor.position))
        return digest.digest()

    @contextmanager
    def _open(self) -> Iterator[int]:
        """The file's descriptor; the file must be as it was when its table of contents was read."""
        try:
            with self.path.open("rb", buffering=0) as file:
                if _state(os.fstat(file.fileno())) != self._state:
                    raise EOFError
                yield file.fileno()
        except EOFError:
            raise CheckpointError(f"{self.path} has changed since it was opened: start again") from None
        except OSError as error:
            raise CheckpointError(f"{self.path} cannot be read: {reason(error)}") from None


def _state(status: os.stat_result) -> tuple[int, int]:
    """Size in bytes and time of the last change in ns: what a file has differently after it was written to."""
    return status.st_size, status.st_mtime_ns


def _fill(array: NDArray[np.float32], file: int, tensor: StoredTensor, first: int) -> None:
    """Copies the rows of the tensor from `first` on; in strips if that does not read anything twice."""
    row_bytes = DTYPES[tensor.dtype].itemsize * prod(tensor.shape[1:])
    strip = max(1, _STRIP // max(row_bytes, 1)) if tensor.packed else max(len(array), 1)
    for start in range(0, len(array), strip):
        stop = min(start + strip, len(array))
        array[start:stop] = _load(file, tensor.rows(first + start, first + stop))


def _load(file: int, tensor: StoredTensor) -> NDArray[Any]:
    """The whole tensor as it is stored.

    Raises:
        EOFError: the file ends before it does.
    """
    dtype = DTYPES[tensor.dtype]
    data = np.empty(tensor.nbytes, np.uint8)
    unread, position = data.data, tensor.position
    while unread:
        count = os.preadv(file, [unread], position)  # at most 2 GB at a time
        if not count:
            raise EOFError
        unread, position = unread[count:], position + count
    strides = tuple(stride * dtype.itemsize for stride in tensor.strides)
    stored: NDArray[Any] = np.ndarray(tensor.shape, dtype, data, strides=strides)
    return stored
