"""The ONNX networks compute what the description says, for every shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.emit.onnx import emit
from wizardtpu_compile.network import gpt_bigcode
from wizardtpu_compile.network.reference import Arrays, evaluate
from wizardtpu_compile.targets.cpu import build_cpu_bundle

from tests.support.networks import causal_mask, run
from tests.support.random_checkpoint import write_random_checkpoint
from tests.support.reference_gpt_bigcode import ReferenceModel

Floats = NDArray[np.float32]
HEAD_DIM = 16


@pytest.fixture(scope="module")
def nets(sound_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("nets") / "bundle"
    build_cpu_bundle(sound_checkpoint, directory)
    return directory / "nets"


def block_inputs(batch: int, tokens: int, history: int, visible: int, width: int = 64) -> Arrays:
    random = np.random.default_rng(batch * 100 + tokens)
    rows = (batch, history, 1, HEAD_DIM)
    return {
        "hidden_states": random.standard_normal((batch, tokens, width), np.float32),
        "attention_mask": np.repeat(causal_mask(tokens, history, visible), batch, axis=0),
        "history_k": random.standard_normal(rows, np.float32),
        "history_v": random.standard_normal(rows, np.float32),
    }


@pytest.mark.parametrize("shape", [(1, 1, 16, 5), (1, 7, 16, 0), (1, 16, 3, 3), (3, 1, 16, 9), (2, 4, 5, 2)])
def test_block(sound_checkpoint: Path, nets: Path, shape: tuple[int, int, int, int]) -> None:
    network = gpt_bigcode.block(Checkpoint.open(sound_checkpoint), 1)
    inputs = block_inputs(*shape)
    expected = evaluate(network, [inputs])[0]
    for found, array in zip(run(nets / "block_1.onnx", *inputs.values()), expected.values(), strict=True):
        np.testing.assert_allclose(found, array, atol=2e-5)


def test_sequences_of_a_batch_see_their_own_history(nets: Path) -> None:
    inputs = block_inputs(2, 1, 8, visible=8)
    inputs["attention_mask"][1, ..., 3:8] = -10000
    both = run(nets / "block_0.onnx", *inputs.values())
    for i in range(2):
        alone = run(nets / "block_0.onnx", *(array[i : i + 1] for array in inputs.values()))
        for together, single in zip(both, alone, strict=True):
            np.testing.assert_allclose(together[i : i + 1], single, atol=1e-5)


def test_hidden_rows_of_the_history_do_not_count(nets: Path) -> None:
    inputs = block_inputs(1, 4, 12, visible=5)
    expected = run(nets / "block_0.onnx", *inputs.values())
    for rows in ("history_k", "history_v"):
        inputs[rows][:, 5:] = 50
    for found, array in zip(run(nets / "block_0.onnx", *inputs.values()), expected, strict=True):
        np.testing.assert_array_equal(found, array)


def test_chunks_with_history_equal_one_chunk(nets: Path) -> None:
    whole = block_inputs(1, 10, 1, visible=0)
    expected, keys, values = run(nets / "block_0.onnx", *whole.values())
    second = {
        "hidden_states": whole["hidden_states"][:, 6:],
        "attention_mask": causal_mask(4, history=6, visible=6),
        "history_k": keys[:, :6],
        "history_v": values[:, :6],
    }
    found = run(nets / "block_0.onnx", *second.values())[0]
    np.testing.assert_allclose(found, expected[:, 6:], atol=1e-5)


def test_embedding_adds_positions(sound_checkpoint: Path, nets: Path) -> None:
    ids, places = np.array([[5, 0, 319]], np.int32), np.array([[0, 127, 3]], np.int32)
    checkpoint = Checkpoint.open(sound_checkpoint)
    expected = checkpoint.read("wte.weight")[ids] + checkpoint.read("wpe.weight")[places]
    np.testing.assert_array_equal(run(nets / "embedding.onnx", ids, places)[0], expected)


def test_lm_head(sound_checkpoint: Path, nets: Path) -> None:
    hidden = np.random.default_rng(0).standard_normal((3, 1, 64), np.float32)
    expected = evaluate(gpt_bigcode.lm_head(Checkpoint.open(sound_checkpoint)), [{"hidden_states": hidden}])[0]
    logits = run(nets / "lm_head.onnx", hidden)[0]
    assert logits.shape == (3, 320)
    np.testing.assert_allclose(logits, expected["logits"], atol=1e-5)


def test_greedy_head_takes_the_first_of_equals(nets: Path) -> None:
    logits = np.zeros((2, 320), np.float32)
    logits[0, [7, 200]] = 3
    logits[1, 319] = 0.5
    token = run(nets / "greedy_head.onnx", logits)[0]
    assert token.dtype == np.int32
    assert token.tolist() == [[7], [319]]


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "gelu_fast"])
def test_activations(tmp_path: Path, activation: str) -> None:
    checkpoint = write_random_checkpoint(tmp_path / "checkpoint", layers=1, activation=activation)
    build_cpu_bundle(checkpoint, tmp_path / "bundle")
    inputs = block_inputs(1, 3, 2, visible=1)
    expected = evaluate(gpt_bigcode.block(Checkpoint.open(checkpoint), 0), [inputs])[0]
    found = run(tmp_path / "bundle" / "nets" / "block_0.onnx", *inputs.values())[0]
    np.testing.assert_allclose(found, expected["hidden_states_out"], atol=2e-5)


def test_exact_and_approximate_gelu_differ(tmp_path: Path) -> None:
    inputs = block_inputs(1, 3, 2, visible=1)
    exact, approximate = (
        evaluate(
            gpt_bigcode.block(
                Checkpoint.open(write_random_checkpoint(tmp_path / name, layers=1, activation=name)), 0
            ),
            [inputs],
        )[0]["hidden_states_out"]
        for name in ("gelu", "gelu_new")
    )
    assert 1e-6 < np.abs(exact - approximate).max() < 1e-2


def test_the_description_is_the_architecture(sound_checkpoint: Path) -> None:
    """The description, run in numpy, against an implementation that was written independently."""
    checkpoint = Checkpoint.open(sound_checkpoint)
    ids = [17, 3, 300, 42, 42]
    values: Arrays = {"input_ids": np.array([ids], np.int32), "position_ids": np.arange(5, dtype=np.int32)[None]}
    values |= {name: np.zeros((1, 1, 1, HEAD_DIM), np.float32) for name in ("history_k", "history_v")}
    values["attention_mask"] = causal_mask(5)
    for network in gpt_bigcode.networks(checkpoint):
        if network.role == "lm_head":
            values["hidden_states"] = values["hidden_states"][:, -1:]
        values |= evaluate(network, [values])[0]
        values["hidden_states"] = values.pop("hidden_states_out", values["hidden_states"])
    expected = ReferenceModel(sound_checkpoint).logits(ids)[-1]
    np.testing.assert_allclose(values["logits"][0], expected, atol=1e-4)
    assert values["token"].tolist() == [[int(expected.argmax())]]


def test_dimensions_are_symbolic(nets: Path) -> None:
    session = onnxruntime.InferenceSession(str(nets / "block_0.onnx"), providers=["CPUExecutionProvider"])
    assert {tensor.name: tensor.shape for tensor in (*session.get_inputs(), *session.get_outputs())} == {
        "hidden_states": ["batch", "tokens", 64],
        "attention_mask": ["batch", 1, "tokens", "total"],
        "history_k": ["batch", "history", 1, HEAD_DIM],
        "history_v": ["batch", "history", 1, HEAD_DIM],
        "hidden_states_out": ["batch", "tokens", 64],
        "new_k": ["batch", "tokens", 1, HEAD_DIM],
        "new_v": ["batch", "tokens", 1, HEAD_DIM],
    }


def test_models_are_valid_onnx(nets: Path) -> None:
    for path in nets.glob("*.onnx"):
        onnx.checker.check_model(path, full_check=True)


def test_the_history_is_never_copied_or_transposed(nets: Path, tmp_path: Path) -> None:
    """After onnxruntime's own rewriting, the history only goes through reshapes into the two products."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    onnxruntime.InferenceSession(str(nets / "block_0.onnx"), options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(tmp_path / "optimized.onnx").graph.node
    names = {"history_k", "history_v"}
    touching: list[str] = []
    for node in nodes:
        if names & set(node.input):
            touching.append(node.op_type)
            names |= set(node.output) if node.op_type == "Reshape" else set()
    assert sorted(touching) == ["FusedMatMul", "MatMul", "Reshape", "Reshape", "Shape"]


def test_several_layers_in_one_network(sound_checkpoint: Path, tmp_path: Path) -> None:
    """As ONNX and in numpy they compute what the layers do one after the other."""
    checkpoint = Checkpoint.open(sound_checkpoint)
    both = gpt_bigcode.block(checkpoint, 0, 2)
    first, second = block_inputs(2, 3, 8, visible=5), block_inputs(2, 5, 8, visible=5)
    inputs = {name: first[name] for name in ("hidden_states", "attention_mask")}
    for place, run_inputs in enumerate((first, second)):
        inputs |= {f"history_{part}_{place}": run_inputs[f"history_{part}"] for part in "kv"}
    one = evaluate(gpt_bigcode.block(checkpoint, 0), [first])[0]
    second |= {"hidden_states": one["hidden_states_out"], "attention_mask": first["attention_mask"]}
    two = evaluate(gpt_bigcode.block(checkpoint, 1), [second])[0]
    expected = [two["hidden_states_out"], one["new_k"], one["new_v"], two["new_k"], two["new_v"]]

    found = evaluate(both, [inputs])[0]
    assert list(found) == ["hidden_states_out", "new_k_0", "new_v_0", "new_k_1", "new_v_1"]
    onnx.save(emit(both), tmp_path / "both.onnx")
    onnx.checker.check_model(tmp_path / "both.onnx", full_check=True)
    emitted = run(tmp_path / "both.onnx", *(inputs[value.name] for value in both.inputs))
    for array, in_numpy, in_onnx in zip(expected, found.values(), emitted, strict=True):
        np.testing.assert_allclose(in_numpy, array, atol=2e-5)
        np.testing.assert_allclose(in_onnx, array, atol=2e-5)


def test_layers_are_dealt_out_to_networks(tmp_path: Path) -> None:
    checkpoint = Checkpoint.open(write_random_checkpoint(tmp_path / "checkpoint", layers=5))
    blocks = [net for net in gpt_bigcode.networks(checkpoint, layers_per_net=2) if net.role == "block"]
    assert [(net.layer, net.layers) for net in blocks] == [(0, 2), (2, 2), (4, 1)]
    assert blocks[2].inputs[2].name == "history_k"
    assert sum(net.parameters for net in blocks) == sum(
        gpt_bigcode.block(checkpoint, layer).parameters for layer in range(5)
    )
