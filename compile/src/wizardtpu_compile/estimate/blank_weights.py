"""Weight files that hold no weights: what a network costs on the chip does not depend on them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wizardtpu_compile.emit.npz import npz_file

_WEIGHT = re.compile(
    r'"top\.Weight"\(\).* -> tensor<(?P<shape>(?:\d+x)+)(?P<element>\w+)> loc\("(?P<name>[^"]+)"\)'
)
_DTYPES: dict[str, np.dtype[Any]] = {
    "ui8": np.dtype(np.uint8),
    "f16": np.dtype(np.uint16),
    "bf16": np.dtype(np.uint16),
}
_CONTENT = 0x11  # of every byte: numbers, but no zeros, which a compiler might leave out
_PART = 1 << 24  # bytes written at a time


def write_blank_weights(mlir: str, path: Path) -> None:
    """Writes the weight file that a module wants, with arrays of the names, shapes and types it has for them."""
    with npz_file(path) as writer:
        for weight in _WEIGHT.finditer(mlir):
            shape = tuple(int(size) for size in weight["shape"].split("x")[:-1])
            dtype = _DTYPES[weight["element"]]
            writer.stream(weight["name"], shape, dtype, _parts(shape, dtype))
        if "top.Weight" not in mlir:
            writer.add("none", np.zeros(1, np.float32))  # the compiler takes no file without arrays


def _parts(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    part = np.full(_PART, _CONTENT, np.uint8)
    left = prod(shape) * dtype.itemsize
    while left > 0:
        yield part[: min(left, _PART)].view(dtype)
        left -= _PART
