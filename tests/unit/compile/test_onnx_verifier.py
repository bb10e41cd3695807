"""Networks that do not compute what the checkpoint says are found."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import numpy_helper
from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.errors import VerificationError
from wizardtpu_compile.network.gpt_bigcode import embedding, networks
from wizardtpu_compile.targets.cpu import build_cpu_bundle
from wizardtpu_compile.verification.onnx_verifier import OnnxVerifier


@pytest.fixture
def nets(sound_checkpoint: Path, tmp_path: Path) -> Path:
    build_cpu_bundle(sound_checkpoint, tmp_path / "bundle")
    return tmp_path / "bundle" / "nets"


def verify(checkpoint: Path, nets: Path) -> None:
    opened = Checkpoint.open(checkpoint)
    verifier = OnnxVerifier(opened.config, opened.config.n_positions)
    for network in networks(opened):
        verifier.check(network, nets / f"{network.name}.onnx", "f32")


def test_sound_networks_pass(sound_checkpoint: Path, nets: Path) -> None:
    verify(sound_checkpoint, nets)


def test_a_block_of_another_layer_is_found(sound_checkpoint: Path, nets: Path) -> None:
    (nets / "block_0.onnx").replace(nets / "block_1.onnx")
    build_cpu_bundle(sound_checkpoint, nets.parent.parent / "again")
    (nets.parent.parent / "again" / "nets" / "block_0.onnx").rename(nets / "block_0.onnx")
    with pytest.raises(VerificationError, match="block_1: the cosine"):
        verify(sound_checkpoint, nets)


@pytest.mark.parametrize(
    ("network", "tensor"),
    [
        ("embedding", "wpe.weight"),
        ("block_1", "h.1.attn.c_attn.key.bias"),
        ("block_1", "h.1.mlp.c_proj.bias"),
        ("block_0", "h.0.ln_2.bias"),
        ("lm_head", "ln_f.weight"),
    ],
)
@pytest.mark.parametrize("value", [0.7, float("nan")])
def test_a_wrong_weight_is_found(
    sound_checkpoint: Path, nets: Path, network: str, tensor: str, value: float
) -> None:
    model = onnx.load(nets / f"{network}.onnx")
    weight = next(weight for weight in model.graph.initializer if weight.name == tensor)
    array = numpy_helper.to_array(weight).copy()
    array[0] += value
    weight.CopyFrom(numpy_helper.from_array(array, tensor))
    onnx.save(model, nets / f"{network}.onnx")
    with pytest.raises(VerificationError, match=network):
        verify(sound_checkpoint, nets)


def test_a_mask_that_is_not_heeded_is_found(sound_checkpoint: Path, nets: Path) -> None:
    model = onnx.load(nets / "block_0.onnx")
    masked = next(node for node in model.graph.node if node.output[0].endswith(".attended.masked"))
    masked.op_type = "Identity"
    del masked.input[1]
    onnx.save(model, nets / "block_0.onnx")
    with pytest.raises(VerificationError, match="block_0: the cosine"):
        verify(sound_checkpoint, nets)


def test_a_file_that_is_no_network_is_found(sound_checkpoint: Path, nets: Path) -> None:
    opened = Checkpoint.open(sound_checkpoint)
    (nets / "embedding.onnx").write_bytes(b"something else")
    with pytest.raises(VerificationError, match=r"embedding\.onnx: onnxruntime cannot run it"):
        OnnxVerifier(opened.config, 128).check(embedding(opened), nets / "embedding.onnx", "f32")
