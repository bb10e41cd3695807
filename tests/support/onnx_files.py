"""Small ONNX files whose results a person can check."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper

FLOAT, INT = TensorProto.FLOAT, TensorProto.INT32
Tensor = tuple[str, int, list[int | str]]


def write_onnx(path: Path, inputs: list[Tensor], outputs: list[Tensor], nodes: list[onnx.NodeProto]) -> Path:
    """A model of `nodes`; tensors are (name, element type, shape with names for symbolic dimensions)."""
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info(*tensor) for tensor in inputs],
        [helper.make_tensor_value_info(*tensor) for tensor in outputs],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def sum_file(path: Path) -> Path:
    """total[tokens] = left + right"""
    return write_onnx(
        path,
        [("left", FLOAT, ["tokens"]), ("right", FLOAT, ["tokens"])],
        [("total", FLOAT, ["tokens"])],
        [helper.make_node("Add", ["left", "right"], ["total"])],
    )


def lookup_file(path: Path) -> Path:
    """found[tokens] = table[index]; fails where an index is outside the table."""
    return write_onnx(
        path,
        [("table", FLOAT, ["rows"]), ("index", INT, ["tokens"])],
        [("found", FLOAT, ["tokens"])],
        [helper.make_node("Gather", ["table", "index"], ["found"])],
    )


def append_file(path: Path) -> Path:
    """new[tokens, width] = x + x, and seen[1, width] = mask @ history + the sum of the new rows.

    An attention block in small: the new rows are an output, and the masked history is read beside them.
    """
    return write_onnx(
        path,
        [
            ("x", FLOAT, ["tokens", "width"]),
            ("mask", FLOAT, [1, "history"]),
            ("history_rows", FLOAT, ["history", "width"]),
        ],
        [("seen", FLOAT, [1, "width"]), ("new", FLOAT, ["tokens", "width"])],
        [
            helper.make_node("Constant", [], ["axis_0"], value_ints=[0]),
            helper.make_node("Add", ["x", "x"], ["new"]),
            helper.make_node("MatMul", ["mask", "history_rows"], ["old_sum"]),
            helper.make_node("ReduceSum", ["new", "axis_0"], ["new_sum"], keepdims=1),
            helper.make_node("Add", ["old_sum", "new_sum"], ["seen"]),
        ],
    )
