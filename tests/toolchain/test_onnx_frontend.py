"""The vendor's own front end and driver, against the way that builds bundles."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.emit.tpu import emit, write_weights
from wizardtpu_compile.errors import ToolchainError
from wizardtpu_compile.frontend.onnx_frontend import BMODEL_NAME, build_network, combine
from wizardtpu_compile.network import gpt_bigcode
from wizardtpu_compile.network.reference import evaluate
from wizardtpu_compile.options import TpuOptions
from wizardtpu_compile.precision import WeightFormat
from wizardtpu_compile.simulation.simulator import Simulator
from wizardtpu_compile.steps.cancellation import Cancelled
from wizardtpu_compile.targets.manifest import ManifestMaker
from wizardtpu_compile.targets.tpu.plan import TpuNetwork, plan
from wizardtpu_compile.toolchain.compiler import compile_network
from wizardtpu_compile.toolchain.toolchain import Toolchain
from wizardtpud.device.bmrt import BmrtLibrary, BmrtRuntime
from wizardtpud.engine import Sampling, make_engine
from wizardtpud.model.bmodel.model import Net, Stage
from wizardtpud.model.bmodel.reading import read_model
from wizardtpud.model.manifest import Manifest, Quantization

from tests.support.networks import causal_mask
from tests.support.random_checkpoint import write_random_checkpoint
from tests.support.reference_gpt_bigcode import ReferenceModel
from tests.support.toolchain import require_onnx_frontend

CONTEXT, HIDDEN, HEAD_DIM = 32, 128, 32
SIZES = {"batch": 1, "tokens": 2, "history": CONTEXT, "total": CONTEXT + 2}
PROMPT = [77]  # each token of the answer leads by more than 0.1 in the logits: more than float16 rounds
OPTIONS = TpuOptions(
    quantize="f16", prefill_chunks=(), verify_tokens=0, slots=1, layers_per_net=2, chat_template="{{ messages }}"
)
Build = Callable[[TpuNetwork, Path], Path]


@pytest.fixture(scope="module")
def toolchain() -> Toolchain:
    return require_onnx_frontend()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    directory = tmp_path_factory.mktemp("checkpoint") / "model"
    write_random_checkpoint(directory, hidden=HIDDEN, layers=2, positions=CONTEXT, never_ends=True)
    return Checkpoint.open(directory)


@pytest.fixture(scope="module")
def planned(checkpoint: Checkpoint) -> list[TpuNetwork]:
    """Embedding, one block of both layers and the heads, for one token of one sequence."""
    return plan(checkpoint, OPTIONS, CONTEXT)


@pytest.fixture(scope="module")
def by_onnx(toolchain: Toolchain, planned: list[TpuNetwork], tmp_path_factory: pytest.TempPathFactory) -> Path:
    def build(shape: TpuNetwork, place: Path) -> Path:
        sizes, form = shape.sizes, shape.form
        name = shape.entry.name
        build_network(toolchain, shape.description, name, sizes, form=form, layout="wizardtpu", directory=place)
        return place / BMODEL_NAME

    return build_all(toolchain, planned, build, tmp_path_factory.mktemp("onnx"))


@pytest.fixture(scope="module")
def direct(toolchain: Toolchain, planned: list[TpuNetwork], tmp_path_factory: pytest.TempPathFactory) -> Path:
    def build(shape: TpuNetwork, place: Path) -> Path:
        write_weights(shape.description, shape.form, place / "weights.npz")
        text = emit(shape.description, shape.entry.name, shape.sizes, shape.form, "weights.npz")
        (place / "net.mlir").write_text(text)
        compile_network(toolchain, place / "net.mlir", place / BMODEL_NAME, place / "log.txt")
        return place / BMODEL_NAME

    return build_all(toolchain, planned, build, tmp_path_factory.mktemp("direct"))


def build_all(toolchain: Toolchain, planned: Sequence[TpuNetwork], build: Build, directory: Path) -> Path:
    parts = []
    for shape in planned:
        place = directory / shape.entry.name
        place.mkdir()
        parts.append(build(shape, place))
    combine(toolchain, parts, directory / "all.bmodel", log=directory / "log.txt")
    return directory / "all.bmodel"


def test_the_networks_look_the_same(by_onnx: Path, direct: Path) -> None:
    assert looks(by_onnx) == looks(direct)


def looks(bmodel: Path) -> list[Net]:
    """The networks of a bmodel but for what compiling differently may change."""

    def plain(stage: Stage) -> Stage:
        return replace(stage, weights=0, weights_key=b"", instructions=0, tensors=0, scratch=0)

    return [replace(net, stages=tuple(map(plain, net.stages))) for net in read_model(bmodel).nets]


def test_the_engine_gives_the_tokens_of_the_float_reference(
    toolchain: Toolchain, checkpoint: Checkpoint, planned: list[TpuNetwork], by_onnx: Path, direct: Path
) -> None:
    entries = [shape.entry for shape in planned]
    quantization = Quantization(blocks="f16", lm_head="f16", embedding="f16")
    manifest = ManifestMaker(checkpoint, OPTIONS).make("bm1684x", quantization, entries, {}, {})
    expected = ReferenceModel(checkpoint.directory).greedy(PROMPT, 8)
    assert len(set(expected)) > 3  # equal by chance or by repetition it is not
    assert [answer(toolchain, manifest, bmodel) for bmodel in (by_onnx, direct)] == [expected, expected]


def answer(toolchain: Toolchain, manifest: Manifest, bmodel: Path) -> list[int]:
    with BmrtRuntime(bmodel, BmrtLibrary.load(toolchain.simulator)) as runtime:
        engine = make_engine(manifest, runtime)
        sequence = engine.admit(PROMPT, Sampling(), 8)
        while sequence.finish is None:
            engine.step()
        engine.release(sequence)
        return sequence.generated


def test_quantized_weights(toolchain: Toolchain, checkpoint: Checkpoint, tmp_path: Path) -> None:
    network = gpt_bigcode.block(checkpoint, 1)
    made = build_network(
        toolchain,
        network,
        "block",
        SIZES,
        form=WeightFormat(4, 32, "f16"),
        layout="wizardtpu",
        directory=tmp_path,
    )
    assert made.cycles > 0
    assert made.peak_memory > 0
    random = np.random.default_rng(3)
    rows = (1, CONTEXT, 1, HEAD_DIM)
    inputs = {
        "hidden_states": random.standard_normal((1, 2, HIDDEN), np.float32),
        "attention_mask": causal_mask(2, CONTEXT, visible=7),
        "history_k": random.standard_normal(rows, np.float32),
        "history_v": random.standard_normal(rows, np.float32),
    }
    ((found,), (expected,)) = (
        Simulator(toolchain.simulator).run_networks(tmp_path / BMODEL_NAME, [("block", inputs)]),
        evaluate(network, [inputs]),
    )
    for name, array in expected.items():
        cosine = float((found[name] * array).sum() / np.linalg.norm(found[name]) / np.linalg.norm(array))
        assert 0.97 < cosine < 0.9999, name


def test_a_failure_tells_its_end_and_keeps_its_log(
    toolchain: Toolchain, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    wrong = SIZES | {"total": CONTEXT}
    network = gpt_bigcode.block(checkpoint, 0)
    with pytest.raises(ToolchainError, match=r"(?s)^model_transform failed: exit code 1\n.*log\.txt$") as error:
        build_network(toolchain, network, "block", wrong, form=None, layout="wizardtpu", directory=tmp_path)
    assert "Error" in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["log.txt"]


def test_a_missing_part_cannot_be_combined(toolchain: Toolchain, tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="model_tool failed"):
        combine(toolchain, [tmp_path / "none.bmodel"], tmp_path / "all.bmodel", log=tmp_path / "log.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["log.txt"]


def test_a_cancelled_build_leaves_its_log_alone(
    toolchain: Toolchain, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    cancelled = threading.Event()
    cancelled.set()
    network = gpt_bigcode.embedding(checkpoint)
    with pytest.raises(Cancelled):
        build_network(
            toolchain,
            network,
            "embedding",
            SIZES,
            form=None,
            layout="wizardtpu",
            directory=tmp_path,
            cancelled=cancelled,
        )
    assert [path.name for path in tmp_path.iterdir()] == ["log.txt"]
