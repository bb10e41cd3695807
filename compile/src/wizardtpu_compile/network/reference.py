"""Runs a network in numpy, float32, one operation after the other: what every emitted form is compared with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wizardtpu_compile.network.description import (
    Add,
    ArgMax,
    Attention,
    CachedAttention,
    Concat,
    Gather,
    Gelu,
    LayerNorm,
    Linear,
    Network,
    Operation,
    Reshape,
    Slice,
    Weight,
)

Array = NDArray[Any]
Arrays = dict[str, Array]

_erf = np.vectorize(math.erf, otypes=[np.float32])


def evaluate(
    network: Network,
    runs: Sequence[Mapping[str, Array]],
    read: Callable[[Weight], Array] = lambda weight: weight.read(),
) -> list[Arrays]:
    """The outputs, by name, for each of several sets of inputs.

    Weights are read once for all runs and kept for one operation; `read` may give others in their place.
    """
    values = [dict(run) for run in runs]
    for operation in network.operations:
        weights = {weight.name: read(weight) for weight in operation.weights()}
        for known in values:
            known[operation.output.name] = _compute(operation, known, weights)
    return [{output.name: known[output.name] for output in network.outputs} for known in values]


@singledispatch
def _compute(operation: Operation, _values: Arrays, _weights: Arrays) -> Array:
    raise TypeError(f"no arithmetic for {type(operation).__name__}")


@_compute.register
def _(op: Gather, values: Arrays, weights: Arrays) -> Array:
    rows: Array = weights[op.table.name][values[op.indices.name]]
    return rows


@_compute.register
def _(op: Add, values: Arrays, _weights: Arrays) -> Array:
    return values[op.left.name] + values[op.right.name]


@_compute.register
def _(op: LayerNorm, values: Arrays, weights: Arrays) -> Array:
    x = values[op.input.name]
    centred = x - x.mean(axis=-1, keepdims=True)
    deviation = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + np.float32(op.epsilon))
    result: Array = centred / deviation * weights[op.gain.name] + weights[op.bias.name]
    return result


@_compute.register
def _(op: Linear, values: Arrays, weights: Arrays) -> Array:
    product = values[op.input.name] @ weights[op.weight.name]
    return product if op.bias is None else product + weights[op.bias.name]


@_compute.register
def _(op: Gelu, values: Arrays, _weights: Arrays) -> Array:
    x = values[op.input.name]
    inner = x / math.sqrt(2) if op.form == "erf" else math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    result: Array = x * (1 + (_erf if op.form == "erf" else np.tanh)(inner)) / 2
    return result


@_compute.register
def _(op: Reshape, values: Arrays, _weights: Arrays) -> Array:
    x = values[op.input.name]
    fixed = [dim if isinstance(dim, int) else -1 for dim in op.output.shape[1:]]
    return x.reshape(x.shape[0], *fixed)


@_compute.register
def _(op: Attention, values: Arrays, _weights: Arrays) -> Array:
    keys = np.concatenate([values[op.history_key.name], values[op.key.name]], axis=1)[:, :, 0]
    rows = np.concatenate([values[op.history_value.name], values[op.value.name]], axis=1)[:, :, 0]
    return _attend(op, values, keys, rows)


@_compute.register
def _(op: CachedAttention, values: Arrays, _weights: Arrays) -> Array:
    return _attend(op, values, values[op.keys.name], values[op.values.name])


@_compute.register
def _(op: Concat, values: Arrays, _weights: Arrays) -> Array:
    return np.concatenate([values[op.first.name], values[op.second.name]], axis=1)


@_compute.register
def _(op: Slice, values: Arrays, _weights: Arrays) -> Array:
    columns = op.output.shape[-1]
    assert isinstance(columns, int)
    return values[op.input.name][..., op.start : op.start + columns]


@_compute.register
def _(op: ArgMax, values: Arrays, _weights: Arrays) -> Array:
    index: Array = np.argmax(values[op.input.name], axis=-1, keepdims=True).astype(np.int32)
    return index


def _attend(op: Attention | CachedAttention, values: Arrays, keys: Array, rows: Array) -> Array:
    """Every head of every token over all rows; keys, rows [B,R,D]."""
    query = values[op.query.name]
    batch, tokens, width = query.shape
    heads = query.reshape(batch, tokens, op.heads, width // op.heads).transpose(0, 2, 1, 3)
    scores = np.float32(op.scale) * heads @ keys[:, None].transpose(0, 1, 3, 2) + values[op.mask.name]
    exponents = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = exponents / exponents.sum(axis=-1, keepdims=True)
    attended: Array = (weights @ rows[:, None]).transpose(0, 2, 1, 3).reshape(batch, tokens, width)
    return attended
