"""A bmodel in the layout of the original demonstration, on the simulator."""

from __future__ import annotations

from pathlib import Path

import pytest
from wizardtpu_compile.bmodel.model import Model, Tensor
from wizardtpu_compile.bmodel.reading import read_model
from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.frontend.onnx_frontend import BMODEL_NAME, build_network, combine
from wizardtpu_compile.network.wizardcoder_tpu import stages
from wizardtpu_compile.precision import WeightFormat
from wizardtpud.device.bmrt import BmrtLibrary

from tests.support.random_checkpoint import write_random_checkpoint
from tests.support.reference_gpt_bigcode import ReferenceModel
from tests.support.toolchain import require_onnx_frontend
from tests.support.wizardcoder_runner import WizardcoderRunner

CONTEXT, HIDDEN, HEADS, LAYERS = 32, 128, 4, 2
WIDTH = 2 * HIDDEN // HEADS  # of a row of the cache: key and value
PROMPT = [26, 83, 209, 168, 88]  # each token of the answer leads by 0.2 in the logits: more than float16 rounds
HALF = WeightFormat(16, None, "f16")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_checkpoint(
        tmp_path_factory.mktemp("checkpoint") / "model",
        hidden=HIDDEN,
        heads=HEADS,
        layers=LAYERS,
        positions=CONTEXT,
        never_ends=True,
    )


@pytest.fixture(scope="module")
def bmodel(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole model in float16."""
    toolchain, directory = require_onnx_frontend(), tmp_path_factory.mktemp("bmodel")
    parts = []
    for number, stage in enumerate(stages(Checkpoint.open(checkpoint), CONTEXT)):
        place = directory / str(number)
        place.mkdir()
        build_network(
            toolchain,
            stage.network,
            stage.name,
            stage.sizes,
            form=HALF,
            layout="wizardcoder-tpu",
            directory=place,
        )
        assert sorted(path.name for path in place.iterdir()) == ["log.txt", BMODEL_NAME]
        parts.append(place / BMODEL_NAME)
    combine(toolchain, parts, directory / "all.bmodel", log=directory / "log.txt")
    return directory / "all.bmodel"


def test_tokens_are_those_of_the_float_reference(checkpoint: Path, bmodel: Path) -> None:
    library = BmrtLibrary.load(require_onnx_frontend().simulator)
    with WizardcoderRunner(
        bmodel, library, context=CONTEXT, layers=LAYERS, hidden=HIDDEN, head_dim=HIDDEN // HEADS
    ) as runner:
        answer = runner.greedy(PROMPT, 8)
    expected = ReferenceModel(checkpoint).greedy(PROMPT, 8)
    assert answer == expected
    assert len(set(expected)) > 3  # equal by chance or by repetition it is not


def test_networks_stages_and_types_are_the_published_ones(bmodel: Path) -> None:
    model = read_model(bmodel)
    assert (model.chip, model.devices) == ("BM1684X", 1)
    assert {(net.addr_mode, net.dynamic) for net in model.nets} == {(0, False)}
    assert tensors(model) == {
        "embedding": [
            [("int32", (1, 1)), ("int32", (1, 1)), ("float32", (1, 1, HIDDEN))],
            [("int32", (1, CONTEXT)), ("int32", (1, CONTEXT)), ("float32", (1, CONTEXT, HIDDEN))],
        ],
        **blocks(0),
        **blocks(1),
        "lm_head": [[("float32", (1, HIDDEN)), ("int32", (1, 1))]],
    }


def blocks(layer: int) -> dict[str, list[list[tuple[str, tuple[int, ...]]]]]:
    whole, one = (1, CONTEXT, HIDDEN), (1, 1, HIDDEN)
    past, more = (1, CONTEXT, WIDTH), (1, CONTEXT + 1, WIDTH)
    shapes = {
        f"block_{layer}": [whole, (1, 1, CONTEXT, CONTEXT), whole, past],
        f"block_cache_{layer}": [one, past, (1, 1, 1, CONTEXT + 1), one, more],
    }
    return {name: [[("float32", shape) for shape in kinds]] for name, kinds in shapes.items()}


def tensors(model: Model) -> dict[str, list[list[tuple[str, tuple[int, ...]]]]]:
    """Type and shape of the inputs, then the outputs, of every stage."""

    def plain(tensor: Tensor) -> tuple[str, tuple[int, ...]]:
        return tensor.dtype, tensor.shape

    return {
        net.name: [[plain(t) for t in (*stage.inputs, *stage.outputs)] for stage in net.stages]
        for net in model.nets
    }
