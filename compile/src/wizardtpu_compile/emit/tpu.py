"""Networks for the BM1684X: modules of the vendor's compiler, at the point where types and weights are decided."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from wizardtpu_compile.emit.mlir_text import NOTHING, ModuleText, Tensor
from wizardtpu_compile.emit.weights import bias_array, float_array, group_arrays, padded_outputs, write_weights
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
from wizardtpu_compile.precision import WeightFormat
from wizardtpu_compile.rounding import rounded_rows

__all__ = ["emit", "io_dtype", "rounded", "write_weights"]

_CAST = "round_mode = #tpu<round_mode HalfAwayFromZero>, with_scale = true"
_ADD = "do_relu = false, is_scalar = false, relu_limit = -1.0 : f64"
_CONCAT = "axis = 1 : si32, do_relu = false, relu_limit = -1.0 : f64"
_GATHER = "axis = 0 : si32, if_neg_index = false, is_lora = false, is_scalar = false, keepdims = true"
_MATMUL = (
    'do_relu = false, dq_type = "NONE", fuse_rq = false, hdim_is_batch = false, input_zp = 0 : i64, '
    "is_lora = false, keep_dims = true, left_reuse = 1 : i64, left_transpose = false, multipliers = [1], "
    "output_transpose = false, q_group_size = 0 : i64, quant_mode = #tpu<rq_mode MultiplierShift>, "
    "relu_limit = -1.0 : f64, right_transpose = false, right_zp = 0 : i64, "
    "round_mode = #tpu<round_mode HalfAwayFromZero>, rshifts = [0]"
)
_TIMES_ONE = (
    "const_val = 1.0 : f64, do_relu = false, multiplier = 1 : si32, relu_limit = -1.0 : f64, rshift = 0 : si32"
)
_ARGMAX = 'keepdims = true, mode = "ArgMax", select_last_index = false, use_int_input = false'
_GELU = {"tanh": "TGELU", "erf": "GELU"}


def emit(  # noqa: PLR0917
    network: Network, name: str, sizes: Mapping[str, int], form: WeightFormat, weight_file: str, devices: int = 1
) -> str:
    """The module of one shape of a network.

    Args:
        network: what it computes.
        name: the network's name in the bmodel.
        sizes: of the symbolic dimensions.
        form: how `write_weights` stores weights; inputs and outputs have its float type.
        weight_file: name of that file, which must lie beside the module.
        devices: how many chips share the work.
    """
    emitter = _Emitter(sizes, form)
    for value in network.inputs:
        emitter.input(value)
    for operation in network.operations:
        emitter.emit(operation)
    return emitter.render(name, network, weight_file, devices)


def rounded(form: WeightFormat) -> Callable[[Weight], NDArray[np.float32]]:
    """Reads weights with the values that the chip computes with; for `network.reference.evaluate`."""
    return lambda weight: replace(weight, rows=lambda _start, _stop: rounded_rows(weight, form)).read()


def io_dtype(value: Value, form: WeightFormat) -> np.dtype[np.generic]:
    """Type of an input or output on the chip."""
    return np.dtype(np.int32) if value.dtype == "i32" else form.dtype


class _Emitter:
    """Translates one operation at a time."""

    def __init__(self, sizes: Mapping[str, int], form: WeightFormat) -> None:
        self._sizes = sizes
        self._form = form
        self._text = ModuleText()
        self._values: dict[str, Tensor] = {}

    def input(self, value: Value) -> None:
        element = "si32" if value.dtype == "i32" else self._form.float
        self._values[value.name] = self._text.argument(Tensor(value.name, self._shape(value), element))

    def render(self, name: str, network: Network, weight_file: str, devices: int) -> str:
        form = self._form
        mode = form.float.upper() if form.bits == 16 else f"W{form.bits}{form.float.upper()}"
        attributes = (
            'module.addr_mode = "io_reloc"',
            "module.asymmetric = false",
            'module.chip = "bm1684x"',
            "module.cores = 1 : i64",
            f"module.devices = {devices} : i64",
            "module.high_precision = false",
            f'module.mode = "{mode}"',
            'module.platform = "LLM"',
            f"module.q_group_size = {form.group_size or 0} : i64",
            "module.q_symmetric = false",
            'module.state = "TPU_LOWERED"',
            'module.top_run_mode = "STATIC"',
            f'module.weight_file = "{weight_file}"',
        )
        return self._text.render(name, attributes, [self._values[value.name] for value in network.outputs])

    @functools.singledispatchmethod
    def emit(self, operation: Operation) -> None:
        raise TypeError(f"no operation of the BM1684X for {type(operation).__name__}")

    @emit.register
    def _(self, op: Gather) -> None:
        self._add("tpu.Gather", [self._float_weight(op.table), self._at(op.indices), NOTHING], _GATHER, op.output)

    @emit.register
    def _(self, op: Add) -> None:
        self._add("tpu.Add", [self._at(op.left), self._at(op.right)], _ADD, op.output)

    @emit.register
    def _(self, op: LayerNorm) -> None:
        source = self._at(op.input)
        axis, width = len(source.shape) - 1, source.shape[-1]
        parts = [self._vector(part, op.input) for part in (op.gain, op.bias)]
        attributes = f"axis = {axis} : si32, eps = {op.epsilon:.17e} : f64, normalized_shape = [{width}]"
        self._add("tpu.LayerNorm", [source, *parts, NOTHING, NOTHING], attributes, op.output)

    @emit.register
    def _(self, op: Linear) -> None:
        if self._form.bits == 16:
            bias = NOTHING if op.bias is None else self._vector(op.bias, op.input)
            operands = [self._at(op.input), self._float_weight(op.weight), bias, NOTHING, NOTHING]
            self._add("tpu.MatMul", operands, _MATMUL, op.output)
        else:
            self._grouped_linear(op)

    @emit.register
    def _(self, op: Gelu) -> None:
        """In float32, as the vendor's own lowering has it."""
        name = op.output.name
        wide = self._cast(self._at(op.input), f"{name}.input", "f32")
        mode = f"mode = #tpu<active_mode {_GELU[op.form]}>"
        activated = self._text.add("tpu.Active", [wide], mode, Tensor(f"{name}.f32", wide.shape, "f32"))
        self._values[name] = self._cast(activated, name, self._form.float)

    @emit.register
    def _(self, op: Reshape) -> None:
        self._values[op.output.name] = self._reshape(self._at(op.input), self._shape(op.output), op.output.name)

    @emit.register
    def _(self, op: ArgMax) -> None:
        """The values beside the indices are a second result, which is not used."""
        source, shape = self._at(op.input), self._shape(op.output)
        name, axis = op.output.name, len(source.shape) - 1
        results = Tensor(name, shape, "i32"), Tensor(f"{name}.value", shape, source.element)
        index, _ = self._text.add_pair("tpu.Arg", [source], f"axis = {axis} : i64, {_ARGMAX}", results)
        self._values[name] = index

    @emit.register
    def _(self, op: Attention) -> None:
        query, name = self._at(op.query), op.output.name
        batch, tokens, width = query.shape
        heads = self._reshape(query, (batch, tokens, op.heads, width // op.heads), f"{name}.query")
        keys = self._join(op.history_key, op.key, f"{name}.keys")
        values = self._join(op.history_value, op.value, f"{name}.values")
        attributes = (
            f"batch = {batch} : i64, dim = {width // op.heads} : i64, keep_dims = false, kv_head = 1 : i64, "
            f"mask_size = 0 : si32, mk = {keys.shape[1]} : i64, mq = {tokens} : i64, q_head = {op.heads} : i64, "
            f"scale = {op.scale:.17e} : f64"
        )
        self._add("tpu.FAttention", [heads, keys, values, self._at(op.mask), NOTHING], attributes, op.output)

    def _grouped_linear(self, op: Linear) -> None:
        """Outputs that fill up the chip's lanes are cut off again."""
        form, source, output = self._form, self._at(op.input), op.output
        arrays = [self._weight(array) for array in group_arrays(op, form)]
        bias = NOTHING
        if op.bias is not None:
            bias = self._weight(_widened(bias_array(op.bias, op, form), op.input))
        attributes = (
            f'dq_type = "NONE", q_group_size = {form.group_size} : i64, sign = true, w_transpose = true, '
            f"weight_bits = {form.bits} : i64"
        )
        result = Tensor(output.name, self._shape(output), form.float)
        wide = padded_outputs(op, form)
        if wide == result.shape[-1]:
            self._values[output.name] = self._text.add(
                "tpu.A16MatMul", [source, *arrays, bias], attributes, result
            )
        else:
            padded = Tensor(f"{output.name}.padded", (*result.shape[:-1], wide), form.float)
            product = self._text.add("tpu.A16MatMul", [source, *arrays, bias], attributes, padded)
            self._values[output.name] = self._first_columns(product, result)

    def _first_columns(self, source: Tensor, result: Tensor) -> Tensor:
        """Cuts off columns.

        Of two dimensions the chip would move each element by itself. The compiler makes no copy of a slice that is
        one piece of memory, and loses it if it is an output: so it is multiplied by 1.
        """
        name, (*rows, width) = result.name, result.shape
        shape = (rows[0], prod(rows[1:]), width)
        columns = self._reshape(source, (*shape[:-1], source.shape[-1]), f"{name}.columns")
        bounds = f"ends = [{', '.join(map(str, shape))}], offset = [0, 0, 0], steps = [1, 1, 1]"
        attributes = f"axes = [], {bounds}, hasparamConvert_axes = []"
        cut = Tensor(f"{name}.slice", shape, result.element)
        cut = self._text.add("tpu.Slice", [columns, *[NOTHING] * 4], attributes, cut)
        copy = self._text.add("tpu.MulConst", [cut], _TIMES_ONE, replace(cut, name=f"{name}.copy"))
        return self._reshape(copy, result.shape, name)

    def _join(self, history: Value, new: Value, name: str) -> Tensor:
        """History and new rows; for one sequence they only have to lie one after the other."""
        parts = [self._at(history), self._at(new)]
        batch, rows, *rest = parts[0].shape
        shape = (batch, rows + parts[1].shape[1], *rest)
        attributes = f"{_CONCAT}, only_merge = {'true' if batch == 1 else 'false'}"
        return self._text.add("tpu.Concat", parts, attributes, Tensor(name, shape, self._form.float))

    def _cast(self, source: Tensor, name: str, element: str) -> Tensor:
        return self._text.add("tpu.Cast", [source], _CAST, Tensor(name, source.shape, element))

    def _reshape(self, source: Tensor, shape: tuple[int, ...], name: str) -> Tensor:
        attributes = f"flatten_start_dim = -1 : i64, shape = [{', '.join(map(str, shape))}]"
        return self._text.add("tpu.Reshape", [source], attributes, Tensor(name, shape, source.element))

    def _add(self, kind: str, operands: list[Tensor], attributes: str, output: Value) -> None:
        """An operation whose result is of the activations' type."""
        result = Tensor(output.name, self._shape(output), self._form.float)
        self._values[output.name] = self._text.add(kind, operands, attributes, result)

    def _float_weight(self, weight: Weight) -> Tensor:
        return self._weight(float_array(weight, self._form))

    def _vector(self, weight: Weight, beside: Value) -> Tensor:
        """A vector for every position of a value."""
        return self._weight(_widened(float_array(weight, self._form), beside))

    def _weight(self, array: Tensor) -> Tensor:
        return self._text.add("top.Weight", [], "", array)

    def _at(self, value: Value) -> Tensor:
        return self._values[value.name]

    def _shape(self, value: Value) -> tuple[int, ...]:
        return tuple(self._size(dim) for dim in value.shape)

    def _size(self, dim: Dim) -> int:
        return dim if isinstance(dim, int) else self._sizes[dim]


def _widened(array: Tensor, beside: Value) -> Tensor:
    """As many dimensions as the value has."""
    return replace(array, shape=(*[1] * (len(beside.shape) - 1), *array.shape))
