"""Networks as ONNX models of static shapes, for the vendor's front end.

What differs from the models for onnxruntime: the front end knows operators up to opset 17 only, folds no shape
computations in models above 2 GB, and recognizes GELU by the operators it is spelled out in.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from wizardtpu_compile.emit.onnx import Emitter, weight_bytes
from wizardtpu_compile.network.description import (
    ArgMax,
    Attention,
    CachedAttention,
    Concat,
    Dim,
    Gelu,
    Network,
    Operation,
    Reshape,
    Slice,
    Value,
)

OPSET = 17
IR_VERSION = 8
LARGEST_EMBEDDED = 2**30
"""Bytes of weights that are put into the model itself: half of what a protobuf message can hold."""

# The front end makes 32 bits of all integers; the index that ArgMax gives has 64.
_ELEMENT_TYPES = {"f32": TensorProto.FLOAT, "i32": TensorProto.INT64}


def emit(network: Network, name: str, sizes: Mapping[str, int]) -> onnx.ModelProto:
    """The network called `name`, weights float32; `sizes` are those of the symbolic dimensions."""
    emitter = _StaticEmitter(sizes)
    for operation in network.operations:
        emitter.emit(operation)
    graph = helper.make_graph(
        emitter.nodes,
        name,
        [emitter.value_info(value) for value in network.inputs],
        [emitter.value_info(value) for value in network.outputs],
        emitter.initializers,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="wizardtpu-compile")


def write(network: Network, name: str, sizes: Mapping[str, int], path: Path) -> None:
    """Writes the model; weights that are too large for it go to a file beside it."""
    external = weight_bytes(network) > LARGEST_EMBEDDED
    onnx.save(emit(network, name, sizes), path, save_as_external_data=external, location=f"{path.name}.weights")


class _StaticEmitter(Emitter):
    """Knows the size of every dimension, so that no node computes a shape."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        super().__init__(None)
        self._sizes = sizes

    def value_info(self, value: Value) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(value.name, _ELEMENT_TYPES[value.dtype], self._shape(value))

    @functools.singledispatchmethod
    def emit(self, operation: Operation) -> None:
        super().emit(operation)

    @emit.register
    def _(self, op: Gelu) -> None:
        """With the constants where the front end's patterns have them."""
        if op.form == "tanh":
            self._tanh_gelu(op.input.name, op.output.name)
        else:
            self._erf_gelu(op.input.name, op.output.name)

    @emit.register
    def _(self, op: Reshape) -> None:
        self._reshape(op.input.name, self._shape(op.output), op.output.name)

    @emit.register
    def _(self, op: ArgMax) -> None:
        """As ArgMin of the negative: ArgMax alone would have a network's input stay float32 in every precision."""
        negative = self._node("Neg", [op.input.name], f"{op.output.name}.negative")
        self._node("ArgMin", [negative], op.output.name, axis=-1, keepdims=1)

    @emit.register
    def _(self, op: Concat) -> None:
        self._node("Concat", [op.first.name, op.second.name], op.output.name, axis=1)

    @emit.register
    def _(self, op: Slice) -> None:
        columns = self._shape(op.output)[-1]
        bounds = {"start": op.start, "stop": op.start + columns, "axis": len(op.output.shape) - 1}
        places = [self._constant(f"{op.output.name}.{k}", np.array([v], np.int64)) for k, v in bounds.items()]
        self._node("Slice", [op.input.name, *places], op.output.name)

    @emit.register
    def _(self, op: Attention) -> None:
        keys = self._joined(op.history_key, op.key, f"{op.output.name}.keys")
        values = self._joined(op.history_value, op.value, f"{op.output.name}.values")
        self._attend(op, keys, values)

    @emit.register
    def _(self, op: CachedAttention) -> None:
        self._attend(op, op.keys.name, op.values.name)

    def _joined(self, history: Value, new: Value, name: str) -> str:
        """[B,S,1,D], [B,T,1,D] -> [B,S+T,D]."""
        batch, rows, _, width = self._shape(history)
        joined = self._node("Concat", [history.name, new.name], f"{name}.rows", axis=1)
        return self._reshape(joined, [batch, rows + self._shape(new)[1], width], name)

    def _attend(self, op: Attention | CachedAttention, keys: str, values: str) -> None:
        """All heads of all tokens are rows of one product with the keys [B,R,D]."""
        name, rows = op.output.name, self._shape(op.mask)[-1]
        batch, tokens, width = self._shape(op.output)
        query = self._reshape(op.query.name, [batch, tokens * op.heads, width // op.heads], f"{name}.heads")
        scaled = self._node("Mul", [query, self._number(f"{name}.scale", op.scale)], f"{name}.scaled")
        transposed = self._node("Transpose", [keys], f"{name}.transposed", perm=[0, 2, 1])
        scores = self._node("MatMul", [scaled, transposed], f"{name}.products")
        scores = self._reshape(scores, [batch, tokens, op.heads, rows], f"{name}.scores")
        mask = self._node("Transpose", [op.mask.name], f"{name}.mask", perm=[0, 2, 1, 3])
        masked = self._node("Add", [scores, mask], f"{name}.masked")
        weights = self._node("Softmax", [masked], f"{name}.softmax", axis=-1)
        weights = self._reshape(weights, [batch, tokens * op.heads, rows], f"{name}.weights")
        self._reshape(self._node("MatMul", [weights, values], f"{name}.sum"), [batch, tokens, width], name)

    def _tanh_gelu(self, x: str, name: str) -> None:
        half = self._node("Mul", [x, self._number(f"{name}.half", 0.5)], f"{name}.halved")
        cube = self._node("Pow", [x, self._number(f"{name}.three", 3.0)], f"{name}.cube")
        bent = self._node("Mul", [cube, self._number(f"{name}.bend", 0.044715)], f"{name}.bent")
        inner = self._node("Add", [x, bent], f"{name}.inner")
        slope = self._number(f"{name}.slope", math.sqrt(2 / math.pi))
        tanh = self._node("Tanh", [self._node("Mul", [inner, slope], f"{name}.angle")], f"{name}.tanh")
        gate = self._node("Add", [tanh, self._number(f"{name}.one", 1.0)], f"{name}.gate")
        self._node("Mul", [half, gate], name)

    def _erf_gelu(self, x: str, name: str) -> None:
        divided = self._node("Div", [x, self._number(f"{name}.root", math.sqrt(2))], f"{name}.divided")
        erf = self._node("Erf", [divided], f"{name}.erf")
        gate = self._node("Add", [erf, self._number(f"{name}.one", 1.0)], f"{name}.gate")
        gated = self._node("Mul", [x, gate], f"{name}.gated")
        self._node("Mul", [gated, self._number(f"{name}.half", 0.5)], name)

    def _number(self, name: str, value: float) -> str:
        return self._constant(name, np.array(value, np.float32))

    def _shape(self, value: Value) -> list[int]:
        return [self._size(dim) for dim in value.shape]

    def _size(self, dim: Dim) -> int:
        return dim if isinstance(dim, int) else self._sizes[dim]
