"""The way through ONNX: what it is told, what it refuses, and what it mends."""

from __future__ import annotations

from pathlib import Path

import pytest
from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.errors import OptionError, ToolchainError
from wizardtpu_compile.frontend import preflight
from wizardtpu_compile.frontend.layout import deploy_arguments
from wizardtpu_compile.frontend.onnx_frontend import build_network
from wizardtpu_compile.frontend.top_mlir import amend
from wizardtpu_compile.network import gpt_bigcode
from wizardtpu_compile.network.description import Network
from wizardtpu_compile.options import TpuOptions
from wizardtpu_compile.precision import WeightFormat
from wizardtpu_compile.toolchain.release import VERSION
from wizardtpu_compile.toolchain.toolchain import Toolchain

ALONE = ("--quant_input", "--quant_output", "--addr_mode", "io_reloc")
TEXT = """%43 = "top.GELU"(%42) {approx_mode = "normal"} : (tensor<1x4x256xf32>) -> tensor<1x4x256xf32> loc(#loc43)
#loc1 = loc("hidden_states")
#loc17 = loc("new_k_Reshape")
#loc18 = loc("new_v_Reshape")
#loc47 = loc("hidden_states_out_Add")
"""


@pytest.fixture
def block(sound_checkpoint: Path) -> Network:
    return gpt_bigcode.block(Checkpoint.open(sound_checkpoint), 0)


def toolchain(directory: Path, *, frontend: bool) -> Toolchain:
    return Toolchain(directory, VERSION, "0" * 64, frontend)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (None, ("--quantize", "F32")),
        (WeightFormat(16, None, "bf16"), ("--quantize", "BF16")),
        (WeightFormat(8, 64, "f16"), ("--quantize", "W8F16", "--q_group_size", "64")),
        (WeightFormat(4, 32, "bf16"), ("--quantize", "W4BF16", "--q_group_size", "32")),
    ],
)
def test_precision(form: WeightFormat | None, expected: tuple[str, ...]) -> None:
    assert deploy_arguments("wizardcoder-tpu", form) == list(expected)


def test_inputs_and_outputs_follow_the_layout() -> None:
    assert deploy_arguments("wizardtpu", WeightFormat(16, None, "f16")) == ["--quantize", "F16", *ALONE]


def test_outputs_get_their_own_names_and_gelu_its_form(block: Network) -> None:
    amended = amend(TEXT, block)
    assert amended.count('loc("new_k")') == amended.count('loc("hidden_states_out")') == 1
    assert "_Reshape" not in amended
    assert 'approx_mode = "tanh"' in amended


def test_an_output_that_went_missing_is_told(block: Network) -> None:
    with pytest.raises(ToolchainError, match="new_v of block_0 0 times"):
        amend(TEXT.replace("new_v", "gone"), block)


@pytest.mark.parametrize(
    ("option", "given"),
    [
        ("--slots", {"slots": 4}),
        ("--verify", {"verify_tokens": 4}),
        ("--prefill-chunks", {"prefill_chunks": (16,)}),
        ("--layers-per-net", {"layers_per_net": 2}),
    ],
)
def test_the_demonstrations_layout_has_shapes_of_its_own(
    tmp_path: Path, option: str, given: dict[str, object]
) -> None:
    options = TpuOptions(frontend="onnx", layout="wizardcoder-tpu", **given)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=f"{option} does not go with --layout wizardcoder-tpu"):
        preflight.check(options, toolchain(tmp_path, frontend=True))


@pytest.mark.parametrize("layout", ["wizardtpu", "wizardcoder-tpu"])
def test_defaults_pass(tmp_path: Path, layout: str) -> None:
    options = TpuOptions(frontend="onnx", layout=layout)  # type: ignore[arg-type]
    preflight.check(options, toolchain(tmp_path, frontend=True))


def test_shapes_are_free_in_the_projects_own_layout(tmp_path: Path) -> None:
    options = TpuOptions(frontend="onnx", slots=4, layers_per_net=2, prefill_chunks=(16,))
    preflight.check(options, toolchain(tmp_path, frontend=True))


@pytest.mark.parametrize("layout", ["wizardtpu", "wizardcoder-tpu"])
def test_nothing_that_comes_from_onnx_is_divided(tmp_path: Path, layout: str) -> None:
    options = TpuOptions(frontend="onnx", layout=layout, num_device=2)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="--num-device 2 does not go with --frontend onnx"):
        preflight.check(options, toolchain(tmp_path, frontend=True))


def test_without_the_front_end_the_cure_is_told(tmp_path: Path, block: Network) -> None:
    bare = toolchain(tmp_path, frontend=False)
    cure = "wizardtpu-compile toolchain install --frontend-onnx"
    with pytest.raises(ToolchainError, match=cure):
        preflight.check(TpuOptions(frontend="onnx"), bare)
    with pytest.raises(ToolchainError, match=cure):
        build_network(bare, block, "net", {}, form=None, layout="wizardtpu", directory=tmp_path)
    assert not list(tmp_path.iterdir())
