"""Weights as the BM1684X stores them: groups of small integers with a scale and a zero point each.

The scheme is that of the vendor's own compiler, bit for bit wherever a group holds values of both signs. Groups of
one sign are stretched to hold zero, without which their zero point would not fit into its bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wizardtpu_compile.errors import CheckpointError
from wizardtpu_compile.network.description import Matrix, Weight
from wizardtpu_compile.precision import WeightFormat

Floats = NDArray[np.float32]

SMALLEST_RANGE = np.float32(1e-5)
"""What lies closer together is not told apart."""
_ALMOST_HALF = np.nextafter(np.float32(0.5), np.float32(0))
_STRIP = 1 << 18  # elements rounded at a time: what a CPU's cache holds


@dataclass(frozen=True)
class Groups:
    """Rows of a matrix, each weight being (level - zero point of its group) * scale of its group.

    Attributes:
        levels: uint8 [rows, inputs].
        scales: of the activations' type, [rows, groups].
        zero_points: uint8 [rows, groups].
    """

    levels: NDArray[np.uint8]
    scales: NDArray[np.generic]
    zero_points: NDArray[np.uint8]

    def values(self) -> Floats:
        """The weights [rows, inputs], in the activations' type as the chip rounds them before it multiplies."""
        rows, groups = self.scales.shape
        levels = self.levels.reshape(rows, groups, -1).astype(np.float32) - self.zero_points[..., None]
        products = (levels * self.scales.astype(np.float32)[..., None]).astype(self.scales.dtype)
        return products.astype(np.float32).reshape(self.levels.shape)


def strips(weight: Weight) -> Iterator[Floats]:
    """The weight as it is stored, a few rows at a time."""
    rows, width = weight.stored_shape[0], int(np.prod(weight.stored_shape[1:]))
    count = max(1, _STRIP // width)
    for start in range(0, rows, count):
        yield weight.rows(start, min(start + count, rows))


def to_groups(rows: Floats, form: WeightFormat, name: str) -> Groups:
    """Rounds rows [rows, inputs] of the weight `name` to groups that the inputs are a multiple of.

    Raises:
        CheckpointError: the weights are too large for the scales' type.
    """
    assert form.group_size is not None
    highest = 2**form.bits - 1
    grouped = rows.reshape(len(rows), -1, form.group_size)
    lowest = np.minimum(grouped.min(axis=-1), 0)
    scales = np.maximum(np.maximum(grouped.max(axis=-1), 0) - lowest, SMALLEST_RANGE) / np.float32(highest)
    zero_points = np.clip(-_round(lowest / scales), 0, highest)
    levels = _round(grouped / scales[..., None])
    levels += zero_points[..., None]
    np.clip(levels, 0, highest, out=levels)
    return Groups(
        levels.astype(np.uint8).reshape(rows.shape), to_float(scales, form, name), zero_points.astype(np.uint8)
    )


def to_float(array: Floats, form: WeightFormat, name: str) -> NDArray[np.generic]:
    """The array in the activations' type.

    Raises:
        CheckpointError: the weight `name` has values beyond the type's range.
    """
    with np.errstate(over="ignore"):
        rounded: NDArray[np.generic] = array.astype(form.dtype)
    if not np.isfinite(rounded.astype(np.float32)).all():
        raise CheckpointError(
            f"weight {name} has values as large as {np.abs(array).max():g}, beyond {form.dtype.name}: "
            "build with bf16 activations"
        )
    return rounded


def rounded_rows(weight: Weight, form: WeightFormat) -> Floats:
    """All of a weight in the orientation it is stored in, with the values that the chip computes with."""
    stored = np.empty(weight.stored_shape, np.float32)
    start = 0
    for rows in strips(weight):
        stop = start + len(rows)
        if form.bits < 16 and isinstance(weight, Matrix):
            stored[start:stop] = to_groups(rows, form, weight.name).values()
        else:
            stored[start:stop] = to_float(rows, form, weight.name)
        start = stop
    return stored


def _round(quotients: Floats) -> NDArray[np.int16]:
    """To the nearest whole number, halves away from zero."""
    quotients += np.copysign(_ALMOST_HALF, quotients)
    return quotients.astype(np.int16)
