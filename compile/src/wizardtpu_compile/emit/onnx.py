"""Networks as ONNX models for onnxruntime; dimensions stay symbolic, so one model serves every shape."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from wizardtpu_compile.network.description import (
    Add,
    ArgMax,
    Attention,
    Dim,
    Gather,
    Gelu,
    LayerNorm,
    Linear,
    Network,
    Operation,
    Reshape,
    Value,
    Weight,
)
from wizardtpu_compile.quantize import BlockQuantization

OPSET = 20
"""The first with Gelu."""
IR_VERSION = 9
LARGEST_MODEL = 2**31 - 1
"""Bytes; a protobuf message cannot hold more."""

# Activations are rounded to 8 bits, in groups, within the product: an error below that of the weights, and 90
# times faster than float activations for one token against 8-bit weights (3 times against 4-bit weights).
_ACCURACY_INT8 = 4
_ONNXRUNTIME_OPERATORS = "com.microsoft"
_ELEMENT_TYPES = {"f32": TensorProto.FLOAT, "i32": TensorProto.INT32}
_LAST = np.iinfo(np.int64).max


def emit(network: Network, quantization: BlockQuantization | None = None) -> onnx.ModelProto:
    """The network with its weights, read one after the other: those of Linear quantized, the others float32."""
    emitter = Emitter(quantization)
    for operation in network.operations:
        emitter.emit(operation)
    graph = helper.make_graph(
        emitter.nodes,
        network.name,
        [_value_info(value) for value in network.inputs],
        [_value_info(value) for value in network.outputs],
        emitter.initializers,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    if quantization is not None:
        opsets.append(helper.make_opsetid(_ONNXRUNTIME_OPERATORS, 1))
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="wizardtpu-compile")


def weight_bytes(network: Network, quantization: BlockQuantization | None = None) -> int:
    """About how many bytes the weights of the emitted model take."""
    total = 4 * network.parameters
    if quantization is not None:
        linears = (operation for operation in network.operations if isinstance(operation, Linear))
        total -= sum(int(op.weight.size * (4 - quantization.bytes_per_weight)) for op in linears)
    return total


def _value_info(value: Value) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(value.name, _ELEMENT_TYPES[value.dtype], value.shape)


class Emitter:
    """Translates one operation at a time into nodes; names of intermediate values derive from the output's."""

    def __init__(self, quantization: BlockQuantization | None) -> None:
        self._quantization = quantization
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    @functools.singledispatchmethod
    def emit(self, operation: Operation) -> None:
        raise TypeError(f"no ONNX for {type(operation).__name__}")

    @emit.register
    def _(self, op: Gather) -> None:
        self._node("Gather", [self._weight(op.table), op.indices.name], op.output.name)

    @emit.register
    def _(self, op: Add) -> None:
        self._node("Add", [op.left.name, op.right.name], op.output.name)

    @emit.register
    def _(self, op: LayerNorm) -> None:
        inputs = [op.input.name, self._weight(op.gain), self._weight(op.bias)]
        self._node("LayerNormalization", inputs, op.output.name, axis=-1, epsilon=op.epsilon)

    @emit.register
    def _(self, op: Linear) -> None:
        if self._quantization is not None:
            self._quantized_linear(op, self._quantization)
        elif op.bias is None:
            self._node("MatMul", [op.input.name, self._weight(op.weight)], op.output.name)
        else:
            product = f"{op.output.name}.product"
            self._node("MatMul", [op.input.name, self._weight(op.weight)], product)
            self._node("Add", [product, self._weight(op.bias)], op.output.name)

    @emit.register
    def _(self, op: Gelu) -> None:
        approximate = "tanh" if op.form == "tanh" else "none"
        self._node("Gelu", [op.input.name], op.output.name, approximate=approximate)

    @emit.register
    def _(self, op: Reshape) -> None:
        # -1 stands for the dimensions whose size is not known here: there is one of them besides the batch.
        shape = [0, *(dim if isinstance(dim, int) else -1 for dim in op.output.shape[1:])]
        self._reshape(op.input.name, shape, op.output.name)

    @emit.register
    def _(self, op: ArgMax) -> None:
        index = self._node("ArgMax", [op.input.name], f"{op.output.name}.index", axis=-1, keepdims=1)
        self._node("Cast", [index], op.output.name, to=_ELEMENT_TYPES[op.output.dtype])

    @emit.register
    def _(self, op: Attention) -> None:
        """All heads of a token are rows of one product with the keys, so nothing is transposed or repeated.

        Scores against the history and the new keys are joined, never the keys and values themselves: those of
        the history are the whole cache. onnxruntime fuses the transposition and the scale into the product.
        """
        name, head_dim = op.output.name, op.key.shape[-1]
        query = self._reshape(op.query.name, [0, 0, op.heads, head_dim], f"{name}.heads")
        scale = self._constant(f"{name}.scale", np.array(op.scale, np.float32))
        query = self._node("Mul", [query, scale], f"{name}.scaled")
        past, new = (self._scores(query, key, head_dim) for key in (op.history_key, op.key))
        scores = self._node("Concat", [past, new], f"{name}.scores", axis=-1)
        mask = self._node("Transpose", [op.mask.name], f"{name}.mask", perm=[0, 2, 1, 3])
        masked = self._node("Add", [scores, mask], f"{name}.masked")
        weights = self._node("Softmax", [masked], f"{name}.weights", axis=-1)
        past, new = self._split(weights, op.history_key)
        past = self._node("MatMul", [past, self._as_matrix(op.history_value, head_dim)], f"{name}.past")
        new = self._node("MatMul", [new, self._as_matrix(op.value, head_dim)], f"{name}.new")
        attended = self._node("Add", [past, new], f"{name}.attended")
        self._reshape(attended, [0, 0, op.output.shape[-1]], name)

    def _scores(self, query: str, key: Value, head_dim: Dim) -> str:
        """Query [B,T,heads,D], key [B,R,1,D] -> [B,T,heads,R]."""
        transposed = self._node(
            "Transpose", [self._as_matrix(key, head_dim)], f"{key.name}.transposed", perm=[0, 1, 3, 2]
        )
        return self._node("MatMul", [query, transposed], f"{key.name}.scores")

    def _as_matrix(self, rows: Value, head_dim: Dim) -> str:
        """[B,R,1,D] -> [B,1,R,D], which is the same in memory."""
        return self._reshape(rows.name, [0, 1, -1, head_dim], f"{rows.name}.matrix")

    def _split(self, weights: str, history: Value) -> tuple[str, str]:
        """[B,T,heads,S+T] -> [B,T,heads,S], [B,T,heads,T]."""
        rows = self._node("Shape", [history.name], f"{history.name}.count", start=1, end=2)
        first = self._constant(f"{weights}.first", np.array([0]))
        last = self._constant(f"{weights}.last", np.array([_LAST]))
        axis = self._constant(f"{weights}.axis", np.array([3]))
        return (
            self._node("Slice", [weights, first, rows, axis], f"{weights}.past"),
            self._node("Slice", [weights, rows, last, axis], f"{weights}.new"),
        )

    def _quantized_linear(self, op: Linear, quantization: BlockQuantization) -> None:
        inputs, outputs = op.weight.shape
        weight, name = quantization.quantize(op.weight.read()), op.weight.name
        operands = [
            op.input.name,
            self._constant(f"{name}.packed", weight.packed),
            self._constant(f"{name}.scales", weight.scales),
            "" if weight.zero_points is None else self._constant(f"{name}.zero_points", weight.zero_points),
            "",
            "" if op.bias is None else self._weight(op.bias),
        ]
        while not operands[-1]:
            operands.pop()
        self._node(
            "MatMulNBits",
            operands,
            op.output.name,
            domain=_ONNXRUNTIME_OPERATORS,
            K=inputs,
            N=outputs,
            bits=quantization.bits,
            block_size=quantization.group_size,
            accuracy_level=_ACCURACY_INT8,
        )

    def _reshape(self, source: str, shape: Sequence[Dim], output: str) -> str:
        return self._node(
            "Reshape", [source, self._constant(f"{output}.shape", np.array(shape, np.int64))], output
        )

    def _node(self, kind: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, domain=domain, **attributes))
        return output

    def _weight(self, weight: Weight) -> str:
        return self._constant(weight.name, weight.read())

    def _constant(self, name: str, array: NDArray[np.generic]) -> str:
        self.initializers.append(numpy_helper.from_array(array, name))
        return name
