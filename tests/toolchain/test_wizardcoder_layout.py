"""A bmodel in the layout of the original demonstration, on the simulator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import grpc
import pytest
from wizardtpu.v1 import generation_pb2 as wire
from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.frontend.onnx_frontend import BMODEL_NAME, build_network, combine
from wizardtpu_compile.network.wizardcoder_tpu import stages
from wizardtpu_compile.precision import WeightFormat
from wizardtpud.device.bmrt import BmrtLibrary, BmrtRuntime
from wizardtpud.engine import Engine, Sampling, make_engine
from wizardtpud.model.bmodel.model import Model, Tensor
from wizardtpud.model.bmodel.reading import read_model
from wizardtpud.model.bundle import Bundle
from wizardtpud.model.foreign.model import ForeignModel

from tests.support.compile_command import run_command
from tests.support.conversation import ask
from tests.support.eventually import PATIENCE
from tests.support.failure import Failure
from tests.support.random_checkpoint import write_random_checkpoint
from tests.support.reference_gpt_bigcode import ReferenceModel
from tests.support.refused_daemon import refused
from tests.support.simulated_daemon import answer_ids, simulated_daemon
from tests.support.toolchain import require_onnx_frontend

CONTEXT, HIDDEN, HEADS, LAYERS = 32, 128, 4, 2
WIDTH = 2 * HIDDEN // HEADS  # of a row of the cache: key and value
PROMPT = [26, 83, 209, 168, 88]  # each token of the answer leads by 0.2 in the logits: more than float16 rounds
OTHER_PROMPT = [143, 12, 77, 201]
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


@pytest.fixture
def engine(checkpoint: Path, bmodel: Path) -> Iterator[Engine]:
    manifest = ForeignModel(bmodel, checkpoint).manifest("wizard")
    library = BmrtLibrary.load(require_onnx_frontend().simulator)
    with BmrtRuntime(bmodel, library) as runtime:
        yield make_engine(manifest, runtime, slots=2)


def test_tokens_are_those_of_the_float_reference(checkpoint: Path, engine: Engine) -> None:
    """Of two sequences side by side; then of one in a slot where another has been."""
    reference = ReferenceModel(checkpoint)
    expected = [reference.greedy(prompt, 5) for prompt in (PROMPT, OTHER_PROMPT)]
    assert len({*expected[0], *expected[1]}) > 3  # equal by chance or by repetition they are not
    assert answers(engine, PROMPT, OTHER_PROMPT) == expected
    assert answers(engine, OTHER_PROMPT) == expected[1:]


def test_the_context_can_be_filled(checkpoint: Path, engine: Engine) -> None:
    prompt = [*PROMPT, *PROMPT, *PROMPT, *PROMPT, *PROMPT, *OTHER_PROMPT]
    assert len(prompt) == CONTEXT - 3
    assert answers(engine, prompt, count=CONTEXT) == [ReferenceModel(checkpoint).greedy(prompt, 3)]


def answers(engine: Engine, *prompts: Sequence[int], count: int = 5) -> list[list[int]]:
    sequences = [engine.admit(prompt, Sampling(), count) for prompt in prompts]
    while any(sequence.finish is None for sequence in sequences):
        engine.step()
    for sequence in sequences:
        engine.release(sequence)
    return [sequence.generated for sequence in sequences]


@pytest.fixture(scope="module")
def imported(checkpoint: Path, bmodel: Path) -> Path:
    """A bundle of the bmodel."""
    output = bmodel.with_name("bundle")
    done = run_command("import", bmodel, checkpoint, "-o", output, "--name", "wizard")
    assert done.returncode == 0, done.stderr
    return output


def test_a_bundle_is_made_of_it(imported: Path, bmodel: Path) -> None:
    bundle = Bundle.open(imported)
    manifest = bundle.manifest
    assert (manifest.layout, manifest.sampling, manifest.context) == ("wizardcoder-tpu", False, CONTEXT)
    assert (manifest.architecture.hidden, manifest.architecture.head_dim) == (HIDDEN, HIDDEN // HEADS)
    assert "### Instruction:" in manifest.chat_template
    assert bundle.device_bytes == read_model(bmodel).device_bytes


def test_the_daemon_serves_it_greedily(imported: Path, checkpoint: Path, tmp_path: Path) -> None:
    with simulated_daemon(imported, tmp_path, require_onnx_frontend().simulator) as daemon:
        assert not daemon.stub.GetModel(wire.GetModelRequest(), timeout=PATIENCE).sampling
        assert answer_ids(daemon, PROMPT, 3) == ReferenceModel(checkpoint).greedy(PROMPT, 3)
        for options in (
            wire.GenerateRequest(sampling=wire.SamplingOptions(temperature=0.5)),
            wire.GenerateRequest(response=wire.ResponseOptions(logprobs=True)),
        ):
            options.token_ids.ids.extend(PROMPT)
            with pytest.raises(grpc.RpcError) as caught:
                ask(daemon.stub, options)
            failure = Failure.of(caught.value)
            assert failure.code == grpc.StatusCode.FAILED_PRECONDITION
            assert failure.reason == "wizardtpud/GREEDY_ONLY"


def test_sail_cannot_run_it(imported: Path) -> None:
    line = refused(imported, "--device", "sail")
    assert "in the layout wizardcoder-tpu, which sophon-sail cannot run; use --device bmrt" in line


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
