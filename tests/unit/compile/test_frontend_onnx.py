"""The models of static shapes that the vendor's front end is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.emit import static_onnx
from wizardtpu_compile.network import gpt_bigcode
from wizardtpu_compile.network.description import Network
from wizardtpu_compile.network.reference import Arrays, evaluate

from tests.support.random_checkpoint import write_random_checkpoint

SIZES = {"batch": 2, "tokens": 3, "history": 5, "total": 8}


def made_up(network: Network) -> Arrays:
    random = np.random.default_rng(5)
    arrays: Arrays = {}
    for value in network.inputs:
        shape = [dim if isinstance(dim, int) else SIZES[dim] for dim in value.shape]
        whole = value.dtype == "i32"
        arrays[value.name] = random.integers(0, 64, shape) if whole else random.standard_normal(shape, np.float32)
    return arrays


def compare(network: Network, path: Path) -> None:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs = made_up(network)
    found = dict(zip((output.name for output in session.get_outputs()), session.run(None, inputs), strict=True))
    (expected,) = evaluate(network, [inputs])
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, atol=2e-5)


@pytest.mark.parametrize("index", range(4))
def test_every_network_computes_what_its_description_says(
    sound_checkpoint: Path, tmp_path: Path, index: int
) -> None:
    network = list(gpt_bigcode.networks(Checkpoint.open(sound_checkpoint), layers_per_net=2))[index]
    static_onnx.write(network, "net", SIZES, tmp_path / "net.onnx")
    onnx.checker.check_model(tmp_path / "net.onnx", full_check=True)
    compare(network, tmp_path / "net.onnx")


def test_exact_gelu(tmp_path: Path) -> None:
    directory = write_random_checkpoint(tmp_path / "checkpoint", layers=1, activation="gelu")
    network = gpt_bigcode.block(Checkpoint.open(directory), 0)
    static_onnx.write(network, "net", SIZES, tmp_path / "net.onnx")
    compare(network, tmp_path / "net.onnx")


def test_weights_of_a_large_network_lie_beside_it(
    sound_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(static_onnx, "LARGEST_EMBEDDED", 10_000)
    network = gpt_bigcode.block(Checkpoint.open(sound_checkpoint), 0)
    static_onnx.write(network, "net", SIZES, tmp_path / "net.onnx")
    assert (tmp_path / "net.onnx").stat().st_size < 20_000
    assert (tmp_path / "net.onnx.weights").stat().st_size > 100_000
    compare(network, tmp_path / "net.onnx")


def test_no_dimension_and_no_operator_is_beyond_the_front_end(sound_checkpoint: Path) -> None:
    network = gpt_bigcode.block(Checkpoint.open(sound_checkpoint), 0)
    model = static_onnx.emit(network, "net", SIZES)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    assert not {"Gelu", "Shape"} & {node.op_type for node in model.graph.node}
    values = [*model.graph.input, *model.graph.output]
    assert all(dim.dim_value > 0 for value in values for dim in value.type.tensor_type.shape.dim)
