"""Writes `.bin` files as torch does, without torch: a zip of storages with a pickled table of contents."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from numpy.typing import NDArray

STORAGE_TYPES = {
    "float32": "Float",
    "float16": "Half",
    "bfloat16": "BFloat16",
    "int64": "Long",
    "bool": "Bool",
}


@dataclass(frozen=True)
class View:
    """A tensor as a view of a storage of `elements` elements; offset and strides count elements."""

    dtype: str
    key: str
    elements: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0


def write_torch_file(path: Path, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Arrays that are views of one array share a storage, with their strides, as torch's tensors do."""
    views, storages = {}, {}
    for name, array in tensors.items():
        whole = array if array.base is None else array.base
        key = str(id(whole))
        storages[key] = [whole.tobytes()]
        start = array.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
        strides = tuple(stride // array.itemsize for stride in array.strides)
        views[name] = View(array.dtype.name, key, whole.size, array.shape, strides, start // array.itemsize)
    write_archive(path, pickled(views), storages.items())


def write_archive(
    path: Path,
    contents: bytes,
    storages: Iterable[tuple[str, Iterable[bytes]]],
    *,
    byteorder: bytes | None = b"little",
    compression: int = ZIP_STORED,
    gap: int = 0,
) -> None:
    """The zip around a table of contents; the storages, each in pieces, may be made while it is written.

    `gap` bytes before the storages are left out: they take no room on the disk.
    """
    with ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", contents)
        archive.writestr("archive/version", b"3\n")
        if byteorder is not None:
            archive.writestr("archive/byteorder", byteorder)
        archive.start_dir += gap
        for key, pieces in storages:
            info = ZipInfo(f"archive/data/{key}")
            info.compress_type = compression
            with archive.open(info, "w", force_zip64=True) as entry:
                for piece in pieces:
                    entry.write(piece)


def pickled(views: Mapping[str, View]) -> bytes:
    """The table of contents, in the instructions that torch's pickler writes."""
    return pickled_items({name: rebuilt(view) for name, view in views.items()})


def pickled_items(values: Mapping[str, bytes]) -> bytes:
    """A table of contents from the instructions that make each value."""
    items = b"".join(_value(name) + value for name, value in values.items())
    ordered_dict = call("collections OrderedDict") + pickle.MARK + items + pickle.SETITEMS
    return pickle.PROTO + b"\x02" + ordered_dict + pickle.STOP


def rebuilt(view: View, *more: Any) -> bytes:
    """The instructions that make a tensor."""
    storage = ("storage", _global(f"torch {STORAGE_TYPES[view.dtype]}Storage"), view.key, "cpu", view.elements)
    hooks = call("collections OrderedDict")
    location = _value(storage) + pickle.BINPERSID, view.offset, view.shape, view.strides
    return call("torch._utils _rebuild_tensor_v2", *location, False, hooks, *more)


def _global(name: str) -> bytes:
    module, attribute = name.split(" ")
    return pickle.GLOBAL + f"{module}\n{attribute}\n".encode()


def call(function: str, *arguments: Any) -> bytes:
    """The instructions that call a function by its name, module and name with a space between them."""
    return _global(function) + _value(arguments) + pickle.REDUCE


def _value(value: Any) -> bytes:
    """Instructions for a value; bytes are instructions already."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool):
        return pickle.NEWTRUE if value else pickle.NEWFALSE
    if isinstance(value, int):
        return pickle.LONG1 + b"\x09" + value.to_bytes(9, "little", signed=True)
    if isinstance(value, str):
        text = value.encode()
        return pickle.BINUNICODE + struct.pack("<I", len(text)) + text
    return pickle.MARK + b"".join(map(_value, value)) + pickle.TUPLE
