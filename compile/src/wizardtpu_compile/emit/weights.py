"""The weight file of a network: which arrays there are of each weight, and how they are written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wizardtpu_compile.emit.mlir_text import Tensor
from wizardtpu_compile.emit.npz import NpzWriter, npz_file
from wizardtpu_compile.network.description import Linear, Matrix, Network, Weight
from wizardtpu_compile.precision import WeightFormat
from wizardtpu_compile.rounding import strips, to_float, to_groups

LANES = 64
"""Outputs that the chip computes side by side. If a matrix does not fill them, the compiler undoes its groups."""
_PANEL = 1 << 27  # elements of a transposed matrix in memory at once


def padded_outputs(linear: Linear, form: WeightFormat) -> int:
    """Outputs with those, made of zeros, that fill up the chip's lanes.

    For fewer outputs than lanes it is not worth it.
    """
    outputs = linear.weight.shape[1]
    return outputs if form.bits == 16 or outputs < LANES else -(-outputs // LANES) * LANES


def float_array(weight: Weight, form: WeightFormat) -> Tensor:
    """A weight in the activations' type."""
    return Tensor(weight.name, weight.shape, form.float)


def bias_array(bias: Weight, linear: Linear, form: WeightFormat) -> Tensor:
    return Tensor(bias.name, (padded_outputs(linear, form),), form.float)


def group_arrays(linear: Linear, form: WeightFormat) -> tuple[Tensor, Tensor, Tensor]:
    """Levels, scales and zero points of a matrix in groups; two levels of 4 bits are a byte, the first one low."""
    assert form.group_size is not None
    name, inputs, outputs = linear.weight.name, linear.weight.shape[0], padded_outputs(linear, form)
    groups = (outputs, inputs // form.group_size)
    return (
        Tensor(f"{name}.levels", (outputs, inputs * form.bits // 8), "ui8"),
        Tensor(f"{name}.scales", groups, form.float),
        Tensor(f"{name}.zero_points", groups, "ui8"),
    )


def write_weights(network: Network, form: WeightFormat, path: Path) -> None:
    """Writes the weight file that all shapes of a network share; holds a few rows in memory at a time.

    Raises:
        CheckpointError: a weight cannot be read, or has no value in the form.
    """
    with npz_file(path) as writer:
        for operation in network.operations:
            if isinstance(operation, Linear):
                _write_linear(writer, operation, form)
            else:
                for weight in operation.weights():
                    _write_floats(writer, float_array(weight, form), weight, form)
        if not any(True for operation in network.operations for _ in operation.weights()):
            writer.add("none", np.zeros(1, np.float32))  # the compiler takes no file without arrays


def _write_linear(writer: NpzWriter, linear: Linear, form: WeightFormat) -> None:
    if form.bits == 16:
        array = float_array(linear.weight, form)
        writer.stream(array.name, array.shape, np.dtype(np.uint16), _transposed_panels(linear.weight, form))
    else:
        _write_groups(writer, linear, form)
    if linear.bias is not None:
        _write_floats(writer, bias_array(linear.bias, linear, form), linear.bias, form)


def _write_floats(writer: NpzWriter, array: Tensor, weight: Weight, form: WeightFormat) -> None:
    parts = (_bits(to_float(rows, form, weight.name)) for rows in strips(weight))
    _stream_padded(writer, array, np.dtype(np.uint16), parts)


def _stream_padded(writer: NpzWriter, array: Tensor, dtype: np.dtype[Any], parts: Iterable[NDArray[Any]]) -> None:
    """Fills the array up with zeros after the parts."""

    def padded() -> Iterator[NDArray[Any]]:
        count = 0
        for part in parts:
            count += len(part)
            yield part
        yield np.zeros((array.shape[0] - count, *array.shape[1:]), dtype)

    writer.stream(array.name, array.shape, dtype, padded())


def _transposed_panels(weight: Matrix, form: WeightFormat) -> Iterator[NDArray[np.uint16]]:
    """A matrix as [inputs, outputs]: as many rows of that at once as memory is to take.

    A panel is valid until the next one. The compiler can be told to read [outputs, inputs], but fails when it then
    groups operations.
    """
    inputs, outputs = weight.shape
    count = max(1, _PANEL // outputs)
    buffer = np.empty((min(count, inputs), outputs), np.uint16)
    for first in range(0, inputs, count):
        panel = buffer[: inputs - first]
        start = 0
        for rows in strips(weight):
            part = rows[:, first : first + count]
            panel[:, start : start + len(rows)] = _bits(to_float(part, form, weight.name)).T
            start += len(rows)
        yield panel


def _write_groups(writer: NpzWriter, linear: Linear, form: WeightFormat) -> None:
    levels, scales, zero_points = group_arrays(linear, form)
    scale_parts: list[NDArray[np.uint16]] = []
    zero_point_parts: list[NDArray[np.uint8]] = []

    def packed() -> Iterator[NDArray[np.uint8]]:
        for rows in strips(linear.weight):
            groups = to_groups(rows, form, linear.weight.name)
            scale_parts.append(_bits(groups.scales))
            zero_point_parts.append(groups.zero_points)
            yield pack(groups.levels) if form.bits == 4 else groups.levels

    _stream_padded(writer, levels, np.dtype(np.uint8), packed())
    _stream_padded(writer, scales, np.dtype(np.uint16), scale_parts)
    _stream_padded(writer, zero_points, np.dtype(np.uint8), zero_point_parts)


def pack(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Two levels of 4 bits a byte, the first one low."""
    packed: NDArray[np.uint8] = levels[:, ::2] | levels[:, 1::2] << np.uint8(4)
    return packed


def _bits(floats: NDArray[np.generic]) -> NDArray[np.uint16]:
    """What stands for them in memory: the compiler reads 16-bit floats as such."""
    bits: NDArray[np.uint16] = floats.view(np.uint16)
    return bits
