"""`wizardtpu-compile verify`: what it finds in a bundle, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from wizardtpu_compile.options import CpuOptions
from wizardtpu_compile.targets.cpu import build_cpu_bundle
from wizardtpu_compile.targets.tpu.build import build_tpu_bundle
from wizardtpu_compile.targets.tpu.plan import MODEL_NAME
from wizardtpu_compile.toolchain.toolchain import Toolchain

from tests.support.compile_command import run_command
from tests.support.edited_checkpoint import edit_json, edit_tensors
from tests.support.tampering import replace_file
from tests.support.tpu_checkpoint import few_shapes, write_tpu_checkpoint

NETWORKS = [
    *("embedding_b1_t1", "embedding_b1_t8", "block_0_b1_t1_s32", "block_0_b1_t8_s32"),
    *("block_1_b1_t1_s32", "block_1_b1_t8_s32", "lm_head_b1", "greedy_head_b1"),
]
# A template without the usual words: the simulator reads every token of a prompt.
TEMPLATE = "{{ messages[0].content }}"
CHANGED = "transformer.h.1.mlp.c_proj.weight"


@pytest.fixture(scope="module")
def bundle(toolchain: Toolchain, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("bundle") / "sound"
    options = few_shapes(quantize="int8", chat_template=TEMPLATE)
    build_tpu_bundle(checkpoint, output, options, toolchain.directory)
    return output


def test_a_sound_bundle(toolchain: Toolchain, checkpoint: Path, bundle: Path) -> None:
    arguments = ("--toolchain", toolchain.directory, "--prompt", "write", "--prompt", "a", "--tokens", "2")
    finished = run_command("verify", bundle, "--against", checkpoint, *arguments)
    assert (finished.returncode, finished.stderr) == (0, "")
    header, *rows, count, exact, quantized = finished.stdout.splitlines()
    assert header.split() == ["network", "compiler", "quantization", "together"]
    assert [row.split()[0] for row in rows] == NETWORKS
    assert all(len(row.split()) == 4 and float(row.split()[1]) > 0.9999 for row in rows)
    assert count == "2 prompts continued:"
    assert exact.lstrip().split(" tokens ")[0] in {f"{equal} of 4" for equal in range(5)}
    assert quantized.startswith("  4 of 4 tokens are the quantized reference's")


def test_a_sound_bundle_as_json(toolchain: Toolchain, checkpoint: Path, bundle: Path) -> None:
    """Of one layer, in one shape, without an answer; what is told meanwhile is not mixed with the JSON."""
    arguments = ("--toolchain", toolchain.directory, "--layers", "1", "--shapes", "1x8", "--tokens", "0")
    finished = run_command("verify", bundle, "--against", checkpoint, *arguments, "--json")
    assert finished.returncode == 0
    result = json.loads(finished.stdout)
    looked_at = {network["network"]: network for network in result["networks"]}
    assert list(looked_at) == ["embedding_b1_t8", "block_1_b1_t8_s32", "lm_head_b1", "greedy_head_b1"]
    assert all(network["sound"] for network in looked_at.values())
    block = looked_at["block_1_b1_t8_s32"]
    assert block["compiler"] > 0.99999 > block["quantization"] > 0.999
    assert block["together"] == pytest.approx(block["quantization"], abs=1e-4)
    assert result["greedy"] is None
    assert "block_1_b1_t8_s32" in finished.stderr


@pytest.fixture
def changed_bundle(toolchain: Toolchain, checkpoint: Path, bundle: Path, tmp_path: Path) -> Path:
    """Its file is sound and has the hash that the manifest says, but other weights in one layer."""
    other = tmp_path / "other"
    shutil.copytree(checkpoint, other)
    weight = load_file(other / "model.safetensors")[CHANGED].copy()
    weight[:, ::9] *= np.float16(-1)
    edit_tensors(other, {CHANGED: weight})
    build_tpu_bundle(other, tmp_path / "made", few_shapes(quantize="int8"), toolchain.directory)
    shutil.copytree(bundle, tmp_path / "changed")
    replace_file(tmp_path / "changed", MODEL_NAME, (tmp_path / "made" / MODEL_NAME).read_bytes())
    return tmp_path / "changed"


def test_changed_weights_are_found(toolchain: Toolchain, checkpoint: Path, changed_bundle: Path) -> None:
    arguments = ("--toolchain", toolchain.directory, "--tokens", "0")
    finished = run_command("verify", changed_bundle, "--against", checkpoint, *arguments)
    assert finished.returncode == 1
    rows = {row.split()[0]: row.split()[1:] for row in finished.stdout.splitlines()[1:-1]}
    wrong = [name for name, cells in rows.items() if cells[-1] == "wrong"]
    assert wrong == ["block_1_b1_t1_s32", "block_1_b1_t8_s32"]
    assert finished.stderr == f"wizardtpu-compile: not what the checkpoint says: {', '.join(wrong)}\n"


def test_a_bundle_for_the_cpu_is_refused(toolchain: Toolchain, checkpoint: Path, tmp_path: Path) -> None:
    build_cpu_bundle(checkpoint, tmp_path / "bundle", CpuOptions(context=32))
    finished = run_command(
        "verify", tmp_path / "bundle", "--against", checkpoint, "--toolchain", toolchain.directory
    )
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr.startswith("wizardtpu-compile: the bundle is for cpu")


def test_the_checkpoint_of_another_model_is_refused(toolchain: Toolchain, bundle: Path, tmp_path: Path) -> None:
    other = write_tpu_checkpoint(tmp_path / "other", layers=3)
    finished = run_command("verify", bundle, "--against", other, "--toolchain", toolchain.directory)
    assert (finished.returncode, finished.stdout) == (2, "")
    assert f"the bundle was not made from {other}" in finished.stderr


def test_a_checkpoint_that_is_none_is_refused(toolchain: Toolchain, bundle: Path, tmp_path: Path) -> None:
    other = write_tpu_checkpoint(tmp_path / "other")
    edit_json(other / "config.json", model_type="llama")
    finished = run_command("verify", bundle, "--against", other, "--toolchain", toolchain.directory)
    assert (finished.returncode, finished.stdout) == (1, "")
    assert "model_type is 'llama'" in finished.stderr


def test_a_damaged_bundle_is_refused(toolchain: Toolchain, checkpoint: Path, bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, tmp_path / "damaged")
    with (tmp_path / "damaged" / MODEL_NAME).open("r+b") as file:
        file.seek(-1000, 2)
        file.write(b"?" * 10)
    finished = run_command(
        "verify", tmp_path / "damaged", "--against", checkpoint, "--toolchain", toolchain.directory
    )
    assert (finished.returncode, finished.stdout) == (1, "")
    assert MODEL_NAME in finished.stderr


def test_a_toolchain_that_is_not_there(checkpoint: Path, bundle: Path, tmp_path: Path) -> None:
    finished = run_command("verify", bundle, "--against", checkpoint, "--toolchain", tmp_path / "nowhere")
    assert (finished.returncode, finished.stdout) == (1, "")
    assert "wizardtpu-compile toolchain install" in finished.stderr
