"""A network whose results a person can tell: what the vendor's runtime is tried on.

rows [1, ROWS, 1, WIDTH]    -> new_rows, twice as much
history [1, PAST, 1, WIDTH] -> seen, twice as much

The network of two stages takes FEWER rows in the second one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from wizardtpu_compile.frontend.onnx_frontend import combine
from wizardtpu_compile.toolchain.compiler import compile_network
from wizardtpu_compile.toolchain.toolchain import Toolchain

NAME = "double"
ROWS, FEWER, PAST, WIDTH = 4, 2, 16, 32

_WEIGHTS = "none.npz"
_TEXT = """\
module @NAME attributes {module.FLOPs = 0 : i64, module.addr_mode = "ADDRESSES", module.asymmetric = false,
    module.chip = "bm1684x", module.cores = 1 : i64, module.devices = 1 : i64, module.high_precision = false,
    module.mode = "MODE", module.platform = "LLM", module.q_group_size = 0 : i64, module.q_symmetric = false,
    module.state = "TPU_LOWERED", module.top_run_mode = "STATIC", module.weight_file = "WEIGHTS"} {
  func.func @main(%a: NEW, %b: OLD) -> (NEW, OLD) {
    %rows = "top.Input"(%a) {do_preprocess = false} : (NEW) -> NEW loc("rows")
    %history = "top.Input"(%b) {do_preprocess = false} : (OLD) -> OLD loc("history")
    %new = "tpu.Add"(%rows, %rows) {do_relu = false, is_scalar = false, relu_limit = -1.0 : f64}
        : (NEW, NEW) -> NEW loc("new_rows")
    %seen = "tpu.Add"(%history, %history) {do_relu = false, is_scalar = false, relu_limit = -1.0 : f64}
        : (OLD, OLD) -> OLD loc("seen")
    return %new, %seen : NEW, OLD loc(unknown)
  } loc(unknown)
} loc(unknown)
"""


def compile_doubling_network(
    toolchain: Toolchain, directory: Path, element: str, rows: int = ROWS, addr_mode: str = "io_alone"
) -> Path:
    """The bmodel, with tensors of f16, bf16 or f32."""
    replacements = {
        "ADDRESSES": addr_mode,
        "NAME": NAME,
        "MODE": element.upper(),
        "WEIGHTS": _WEIGHTS,
        "NEW": f"tensor<1x{rows}x1x{WIDTH}x{element}>",
        "OLD": f"tensor<1x{PAST}x1x{WIDTH}x{element}>",
    }
    text = _TEXT
    for word, replacement in replacements.items():
        text = text.replace(word, replacement)
    (directory / "net.mlir").write_text(text)
    np.savez(directory / _WEIGHTS)
    bmodel = directory / f"{element}_{rows}.bmodel"
    compile_network(toolchain, directory / "net.mlir", bmodel, directory / "net.log")
    return bmodel


def compile_two_stages(toolchain: Toolchain, directory: Path) -> Path:
    """The bmodel of two stages, with tensors of f16."""
    parts = [compile_doubling_network(toolchain, directory, "f16", rows) for rows in (ROWS, FEWER)]
    combine(toolchain, parts, directory / "stages.bmodel", log=directory / "combine.log")
    return directory / "stages.bmodel"
