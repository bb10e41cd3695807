"""Writes .npz files that do not fit into memory: each part of an array is written when it has been computed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray


class NpzWriter:
    """An .npz file without compression; the same arrays give the same bytes."""

    def __init__(self, archive: ZipFile) -> None:
        self._archive = archive

    def add(self, name: str, array: NDArray[Any]) -> None:
        self.stream(name, array.shape, array.dtype, [array])

    def stream(
        self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], parts: Iterable[NDArray[Any]]
    ) -> None:
        """Adds an array whose elements come in parts, the first axis varying slowest."""
        header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        # A ZipInfo of its own has a fixed date.
        with self._archive.open(ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
            npy.write_array_header_1_0(entry, header)
            for part in parts:
                entry.write(np.ascontiguousarray(part, dtype).data)


@contextmanager
def npz_file(path: Path) -> Iterator[NpzWriter]:
    """A file that has its name only when it is whole, and on the disk."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            with ZipFile(file, "w") as archive:
                yield NpzWriter(archive)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
