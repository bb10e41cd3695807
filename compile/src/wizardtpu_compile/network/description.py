"""What a network is: values with symbolic shapes, weights that are read when asked for, and a few operations.

An emitter translates the operations one after the other. Dimensions are numbers or the names below; a target
that needs static shapes substitutes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

BATCH = "batch"
"""Sequences computed together."""
TOKENS = "tokens"
"""New tokens of each sequence."""
HISTORY = "history"
"""Rows of the key and value cache of each sequence."""
TOTAL = "total"
"""HISTORY + TOKENS: what a token may attend to."""

Dim = int | str
Role = Literal["embedding", "block", "lm_head", "greedy_head"]


@dataclass(frozen=True)
class Value:
    """A tensor that flows through a network."""

    name: str
    shape: tuple[Dim, ...]
    dtype: Literal["f32", "i32"] = "f32"


@dataclass(frozen=True)
class Weight:
    """A constant tensor; it is brought into memory when it is read, and nothing here keeps it there.

    Attributes:
        name: unique within a network.
        shape: as operations see it.
        rows: reads some rows (indices of the first axis, start and stop) in the orientation it is stored in.
    """

    name: str
    shape: tuple[int, ...]
    rows: Callable[[int, int], NDArray[np.float32]]

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """Shape that `rows` reads parts of."""
        return self.shape

    def read(self) -> NDArray[np.float32]:
        """The whole tensor."""
        return self.rows(0, self.shape[0])


class Matrix(Weight):
    """What a Linear multiplies with, [inputs, outputs]; stored as torch does: [outputs, inputs]."""

    @property
    def stored_shape(self) -> tuple[int, ...]:
        return self.shape[::-1]

    def read(self) -> NDArray[np.float32]:
        return _transpose(self.rows(0, self.shape[1]))


class _Operation:
    """What the operations below have in common: `output`, and fields that are values, weights or settings."""

    def weights(self) -> Iterator[Weight]:
        return (field for field in vars(self).values() if isinstance(field, Weight))


@dataclass(frozen=True)
class Gather(_Operation):
    """Rows of a table: output[b, t] = table[indices[b, t]]."""

    table: Weight
    indices: Value
    output: Value


@dataclass(frozen=True)
class Add(_Operation):
    left: Value
    right: Value
    output: Value


@dataclass(frozen=True)
class LayerNorm(_Operation):
    """Over the last axis: (x - mean) / sqrt(variance + epsilon) * gain + bias."""

    input: Value
    gain: Weight
    bias: Weight
    epsilon: float
    output: Value


@dataclass(frozen=True)
class Linear(_Operation):
    """output = input @ weight + bias, with weight [inputs, outputs]; this is what quantization applies to."""

    input: Value
    weight: Matrix
    bias: Weight | None
    output: Value


@dataclass(frozen=True)
class Gelu(_Operation):
    """x * Phi(x): exactly ("erf"), or with the tanh approximation."""

    input: Value
    form: Literal["tanh", "erf"]
    output: Value


@dataclass(frozen=True)
class Reshape(_Operation):
    """The same elements in the same order under the shape of `output`."""

    input: Value
    output: Value


@dataclass(frozen=True)
class Attention(_Operation):
    """Multi-query attention of T new tokens over S rows of history and themselves.

    query [B,T,heads*D]; key, value [B,T,1,D]; history_key, history_value [B,S,1,D]; mask [B,1,T,S+T] is added to
    the scores; output [B,T,heads*D] = softmax(scale * query @ keys^T + mask) @ values for each head of width D.
    """

    query: Value
    key: Value
    value: Value
    history_key: Value
    history_value: Value
    mask: Value
    heads: int
    scale: float
    output: Value


@dataclass(frozen=True)
class CachedAttention(_Operation):
    """Multi-query attention of T tokens over R rows of keys and values, their own among them.

    query [B,T,heads*D]; keys, values [B,R,D]; mask [B,1,T,R] is added to the scores; output [B,T,heads*D] as that
    of `Attention`.
    """

    query: Value
    keys: Value
    values: Value
    mask: Value
    heads: int
    scale: float
    output: Value


@dataclass(frozen=True)
class Concat(_Operation):
    """The rows of `first`, then those of `second`: [B,R1,...], [B,R2,...] -> [B,R1+R2,...]."""

    first: Value
    second: Value
    output: Value


@dataclass(frozen=True)
class Slice(_Operation):
    """As many columns (elements of the last axis) as `output` has, from column `start` on."""

    input: Value
    start: int
    output: Value


@dataclass(frozen=True)
class ArgMax(_Operation):
    """Index of the largest element of the last axis, the first one if there are several; keeps the axis."""

    input: Value
    output: Value


Operation = (
    Gather | Add | LayerNorm | Linear | Gelu | Reshape | Attention | CachedAttention | Concat | Slice | ArgMax
)


@dataclass(frozen=True)
class Network:
    """A network of one role. Operations are in an order that can be run.

    `layer` is set for blocks alone: the first of the `layers` they compute.
    """

    role: Role
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    operations: tuple[Operation, ...] = field(repr=False)
    layer: int | None = None
    layers: int = 1

    @property
    def name(self) -> str:
        return self.role if self.layer is None else f"{self.role}_{self.layer}"

    @property
    def parameters(self) -> int:
        """Number of elements of all weights."""
        return sum(weight.size for operation in self.operations for weight in operation.weights())


def _transpose(matrix: NDArray[np.float32], strip: int = 32) -> NDArray[np.float32]:
    """A transposed copy, made in strips that fit the CPU's caches: 5 times faster for a wide layer."""
    transposed = np.empty(matrix.shape[::-1], matrix.dtype)
    for start in range(0, len(matrix), strip):
        transposed[:, start : start + strip] = matrix[start : start + strip].T
    return transposed
