"""Bundles for the BM1684X from a checkpoint, by the real compiler, on the simulator."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.emit.tpu import io_dtype
from wizardtpu_compile.errors import CheckpointError, OutputError, StepError, ToolchainError
from wizardtpu_compile.network.description import Value
from wizardtpu_compile.options import TpuOptions
from wizardtpu_compile.simulation.simulator import Simulator
from wizardtpu_compile.targets.tpu.bmodel_file import build_bmodel
from wizardtpu_compile.targets.tpu.build import build_tpu_bundle, workspace_of
from wizardtpu_compile.targets.tpu.plan import MODEL_NAME, TpuNetwork, plan
from wizardtpu_compile.toolchain.toolchain import MARKER_NAME, Toolchain
from wizardtpud.errors import BundleError
from wizardtpud.model.bmodel.model import Tensor
from wizardtpud.model.bmodel.reading import read_model
from wizardtpud.model.bundle import Bundle
from wizardtpud.model.loading import load
from wizardtpud.model.manifest import Quantization

from tests.support.compile_command import run_command
from tests.support.edited_checkpoint import edit_json, edit_tensors
from tests.support.reference_gpt_bigcode import ReferenceModel
from tests.support.toolchain import require_onnx_frontend
from tests.support.tpu_checkpoint import CONTEXT, few_shapes, write_tpu_checkpoint

PROMPTS = [[26, 83, 209, 168, 88], list(range(5, 17))]  # the second one takes two chunks
TOKENS = 4
PRECISIONS = ("f16", "bf16", "int8", "int4")


@pytest.fixture
def spoilt(tmp_path: Path) -> Path:
    """A checkpoint that may be changed."""
    return write_tpu_checkpoint(tmp_path / "spoilt")


def build(toolchain: Toolchain, checkpoint: Path, output: Path, options: TpuOptions) -> Bundle:
    build_tpu_bundle(checkpoint, output, options, toolchain.directory)
    return Bundle.open(output)


def answers(toolchain: Toolchain, bundle: Path, prompts: list[list[int]] = PROMPTS) -> list[list[int]]:
    """What the daemon's engine answers on the simulator."""
    return Simulator(toolchain.simulator).continue_greedily(bundle, "simulator", prompts, TOKENS)


class Built(NamedTuple):
    """A bundle with all kinds of shapes, and what was said of it."""

    bundle: Bundle
    options: TpuOptions
    similarity: dict[str, float]


@pytest.fixture(scope="module", params=PRECISIONS)
def built(
    request: pytest.FixtureRequest,
    toolchain: Toolchain,
    checkpoint: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Built:
    """By the command for int4, whose precision is the default, else by the function that it calls."""
    output = tmp_path_factory.mktemp("built") / "bundle"
    options = TpuOptions(
        quantize=request.param,
        context=CONTEXT,
        prefill_chunks=(8, 512),
        verify_tokens=4,
        slots=2,
        check_networks="all",
    )
    if request.param != "int4":
        result = build_tpu_bundle(checkpoint, output, options, toolchain.directory)
        return Built(Bundle.open(output), options, result.similarity)
    shapes = ("--context", str(CONTEXT), "--prefill-chunks", "8,512", "--verify", "4", "--slots", "2")
    place = ("--toolchain", toolchain.directory, "-o", output)
    finished = run_command("build", checkpoint, "--target", "bm1684x", *shapes, *place, "--check", "all", "--json")
    assert finished.returncode == 0, finished.stderr
    said = json.loads(finished.stdout)
    assert (said["bundle"], said["target"], said["networks"]) == (str(output), "bm1684x", 18)
    assert said["bytes"] == Bundle.open(output).manifest.size
    assert said["peak_memory"] > 0
    return Built(Bundle.open(output), options, said["similarity"])


@pytest.fixture
def planned(built: Built, checkpoint: Path) -> list[TpuNetwork]:
    return plan(Checkpoint.open(checkpoint), built.options, CONTEXT)


def test_the_manifest(built: Built, planned: list[TpuNetwork], checkpoint: Path) -> None:
    manifest = built.bundle.manifest
    blocks = built.options.quantize
    quantized = blocks.startswith("int")
    assert manifest.quantization == Quantization(
        blocks=blocks,
        lm_head="int8" if quantized else blocks,
        embedding="bf16" if blocks == "bf16" else "f16",
        group_size=64 if quantized else None,
    )
    assert (manifest.name, manifest.target, manifest.context, manifest.devices) == ("tiny", "bm1684x", CONTEXT, 1)
    assert (manifest.layout, manifest.sampling) == ("wizardtpu", True)
    assert manifest.device_bytes == read_model(built.bundle.bmodel).device_bytes
    assert manifest.made_with.keys() == {"wizardtpu-compile", "tpu_mlir"}
    shapes = {(1, 1), (1, 4), (1, 8), (2, 1)}  # the chunk of 512 is beyond the context
    for role in ("embedding", "block"):
        assert {(n.batch, n.tokens) for n in manifest.networks if n.role == role} == shapes
    for role in ("lm_head", "greedy_head"):
        assert {n.batch for n in manifest.networks if n.role == role} == {1, 2, 4}
    assert [entry.name for entry in manifest.networks] == [network.entry.name for network in planned]
    assert all(entry.cycles for entry in manifest.networks)


def test_the_files_are_those_of_the_manifest(built: Built, checkpoint: Path) -> None:
    directory, files = built.bundle.directory, built.bundle.manifest.files
    assert files.keys() == {MODEL_NAME, "tokenizer.json"}
    for name, entry in files.items():
        content = (directory / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (entry.bytes, entry.sha256)
    assert (directory / "tokenizer.json").read_bytes() == (checkpoint / "tokenizer.json").read_bytes()
    assert {path.name for path in directory.iterdir()} == {*files, "manifest.json"}


def test_the_bmodel_has_the_networks_of_the_manifest(built: Built, planned: list[TpuNetwork]) -> None:
    model = read_model(built.bundle.path(MODEL_NAME))
    assert (model.chip, model.devices) == ("BM1684X", 1)
    assert model.networks.keys() == {network.entry.name for network in planned}
    for network in planned:
        (net,) = model.networks[network.entry.name]
        (stage,) = net.stages
        assert list(stage.inputs) == [tensor(value, network) for value in network.description.inputs]
        assert list(stage.outputs) == [tensor(value, network) for value in network.description.outputs]
        assert (net.addr_mode, net.tensors) == (4, 0)


def tensor(value: Value, network: TpuNetwork) -> Tensor:
    """A value as the runtime must see it."""
    shape = tuple(dim if isinstance(dim, int) else network.sizes[dim] for dim in value.shape)
    return Tensor(value.name, io_dtype(value, network.form).name, shape)


def test_every_network_was_compared(built: Built, planned: list[TpuNetwork]) -> None:
    assert built.similarity.keys() == {network.entry.name for network in planned}
    lowest = 0.9999 if built.options.quantize == "bf16" else 0.99999
    assert min(built.similarity.values()) > lowest


def test_the_layers_weights_are_stored_once(built: Built) -> None:
    """The device has them once; with 16 bits the compiler lays them out in another way for several sequences."""
    model = read_model(built.bundle.path(MODEL_NAME))
    nets = [net for name, (net,) in model.networks.items() if name.startswith("block_0")]
    assert len(nets) == 4
    layouts = {stage.weights_key for net in nets for stage in net.stages}
    assert len(layouts) == (1 if built.options.quantize.startswith("int") else 2)


def test_only_records_and_logs_are_left_beside_it(built: Built) -> None:
    workspace = workspace_of(built.bundle.directory)
    left = {path.name for path in workspace.rglob("*") if path.is_file()}
    assert left == {"lock", "log.txt", "done.json"}


@pytest.fixture(scope="module")
def plain(toolchain: Toolchain, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """In f16, of the shapes that one sequence needs."""
    return build(toolchain, checkpoint, tmp_path_factory.mktemp("plain") / "bundle", few_shapes(quantize="f16"))


@pytest.fixture(scope="module")
def expected(toolchain: Toolchain, plain: Bundle) -> list[list[int]]:
    return answers(toolchain, plain.directory)


def test_the_engine_gives_the_tokens_of_the_reference(expected: list[list[int]], checkpoint: Path) -> None:
    """Where the reference is undecided, the sequences may part."""
    reference = ReferenceModel(checkpoint)
    for prompt, answer in zip(PROMPTS, expected, strict=True):
        rows = reference.logits([*prompt, *answer])[len(prompt) - 1 : -1]
        margins = rows.max(-1) - rows[range(TOKENS), answer]
        assert margins.max() < 0.01  # float16 rounds logits of about 4 by 0.002
    assert len({token for answer in expected for token in answer}) > TOKENS // 2  # neither chance nor repetition


def test_two_layers_in_one_network(
    toolchain: Toolchain, checkpoint: Path, expected: list[list[int]], tmp_path: Path
) -> None:
    bundle = build(toolchain, checkpoint, tmp_path / "bundle", few_shapes(quantize="f16", layers_per_net=2))
    blocks = [entry for entry in bundle.manifest.networks if entry.role == "block"]
    assert [(entry.first_layer, entry.layers) for entry in blocks] == [(0, 2), (0, 2)]
    (net,) = read_model(bundle.path(MODEL_NAME)).networks["block_0_b1_t1_s32"]
    assert [value.name for value in net.stages[0].inputs][2:] == [
        f"history_{kind}_{layer}" for layer in (0, 1) for kind in "kv"
    ]
    assert answers(toolchain, bundle.directory) == expected


def test_by_way_of_onnx(checkpoint: Path, expected: list[list[int]], tmp_path: Path) -> None:
    toolchain = require_onnx_frontend()
    options = few_shapes(quantize="f16", prefill_chunks=(), frontend="onnx", check_networks="all")
    result = build_tpu_bundle(checkpoint, tmp_path / "bundle", options, toolchain.directory)
    assert len(result.similarity) == 5
    assert min(result.similarity.values()) > 0.9999
    assert answers(toolchain, tmp_path / "bundle", PROMPTS[:1]) == expected[:1]


def test_the_same_build_gives_the_same_bytes(
    toolchain: Toolchain, checkpoint: Path, plain: Bundle, tmp_path: Path
) -> None:
    """However many steps run at once, and wherever."""
    again = build(toolchain, checkpoint, tmp_path / "another place", few_shapes(quantize="f16", jobs=1))
    assert again.manifest.files == plain.manifest.files


def test_only_what_is_in_the_manifest_is_made_anew(
    toolchain: Toolchain, checkpoint: Path, plain: Bundle, tmp_path: Path
) -> None:
    """The template is no step's business; the bundle is, for it was handed over."""
    options = few_shapes(quantize="f16", name="renamed", chat_template="{{ messages[0].content }}", force=True)
    shutil.copytree(plain.directory, tmp_path / "bundle")
    bundle = build(toolchain, checkpoint, tmp_path / "bundle", options)
    assert (bundle.manifest.name, bundle.manifest.chat_template) == ("renamed", "{{ messages[0].content }}")
    assert bundle.manifest.files == plain.manifest.files


def test_one_layer_alone(toolchain: Toolchain, checkpoint: Path, tmp_path: Path) -> None:
    options = few_shapes(only_layer=1, check_networks="all")
    made = build_bmodel(checkpoint, tmp_path / "layer.bmodel", options, toolchain.directory)
    names = ["block_1_b1_t1_s32", "block_1_b1_t8_s32"]
    assert sorted(read_model(made.path).networks) == names
    assert sorted(made.similarity) == names
    assert made.size == made.path.stat().st_size
    with pytest.raises(OutputError, match=r"layer\.bmodel is there already; --force replaces it"):
        build_bmodel(checkpoint, made.path, options, toolchain.directory)


def test_two_devices(toolchain: Toolchain, checkpoint: Path, tmp_path: Path) -> None:
    """The simulator has one device: what comes out is not run."""
    options = few_shapes(quantize="int4", num_device=2, check_networks="all")
    result = build_tpu_bundle(checkpoint, tmp_path / "bundle", options, toolchain.directory)
    assert result.similarity == {}
    assert result.manifest.devices == 2
    with pytest.raises(BundleError, match="is for 2 devices and was given 1 device"):
        load(Bundle.open(tmp_path / "bundle"), "simulator", library=toolchain.simulator)
    model = read_model(tmp_path / "bundle" / MODEL_NAME)
    assert model.devices == 2
    assert {net.device for net in model.networks["block_0_b1_t1_s32"]} == {0, 1}


def another_architecture(spoilt: Path) -> None:
    edit_json(spoilt / "config.json", model_type="llama")


def wrong_shape(spoilt: Path) -> None:
    edit_tensors(spoilt, {"transformer.h.1.ln_2.bias": np.zeros(96, np.float16)})


def missing_tensor(spoilt: Path) -> None:
    edit_tensors(spoilt, {"transformer.h.1.mlp.c_fc.weight": None})


def missing_shard(spoilt: Path) -> None:
    shutil.rmtree(spoilt)
    write_tpu_checkpoint(spoilt, shards=3)
    (spoilt / "model-00002-of-00003.safetensors").unlink()


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (another_architecture, "model_type is 'llama'"),
        (wrong_shape, r"tensor h\.1\.ln_2\.bias has shape \[96\]"),
        (missing_tensor, r"tensor h\.1\.mlp\.c_fc\.weight is missing"),
        (missing_shard, r"model-00002-of-00003\.safetensors is missing"),
    ],
)
def test_a_checkpoint_that_is_wrong(
    toolchain: Toolchain, spoilt: Path, tmp_path: Path, spoil: Any, fault: str
) -> None:
    spoil(spoilt)
    with pytest.raises(CheckpointError, match=fault):
        build_tpu_bundle(spoilt, tmp_path / "bundle", few_shapes(), toolchain.directory)
    assert not (tmp_path / "bundle").exists()
    assert not workspace_of(tmp_path / "bundle").exists()


def test_a_value_that_is_no_number(toolchain: Toolchain, spoilt: Path, tmp_path: Path) -> None:
    """It is met in the middle of the build: what is done by then stays, and the cure is another checkpoint."""
    weight = np.zeros((128, 512), np.float16)
    weight[100, 300] = np.nan
    edit_tensors(spoilt, {"transformer.h.1.mlp.c_proj.weight": weight})
    finished = run_command(*build_arguments(toolchain, spoilt, tmp_path / "bundle"), "--jobs", "1")
    assert (finished.returncode, finished.stdout) == (1, "")
    assert "step block_1.weights failed: " in finished.stderr
    assert "tensor h.1.mlp.c_proj.weight holds 1 values that are NaN or infinite" in finished.stderr
    assert "steps are done and kept: the same command goes on from there" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert not (tmp_path / "bundle").exists()
    done = {path.parent.name for path in (workspace_of(tmp_path / "bundle") / "steps").glob("*/done.json")}
    assert {"embedding_b1_t8", "block_0_b1_t8_s32"} <= done


def build_arguments(toolchain: Toolchain, checkpoint: Path, output: Path) -> tuple[str | Path, ...]:
    """`few_shapes`, as the command has it."""
    shapes = ("--context", str(CONTEXT), "--prefill-chunks", "8", "--verify", "0", "--slots", "1")
    place = ("--toolchain", toolchain.directory, "-o", output)
    return ("build", checkpoint, "--target", "bm1684x", *shapes, "--check", "none", *place)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--embedding", "f16", "--activations", "bf16"], "--embedding f16"),
        (["--group-size", "48"], "--group-size 48"),
        (["--quantize", "f16", "--num-device", "2"], "--num-device 2"),
        (["--only-layer", "2"], "--only-layer 2"),
        (["--layers-per-net", "3"], "--layers-per-net 3"),
        (["--context", "65"], "--context 65"),
        (["--verify", "1"], "--verify 1"),
        (["--slots", "0"], "--slots 0"),
    ],
)
def test_options_that_do_not_fit(
    toolchain: Toolchain, checkpoint: Path, tmp_path: Path, arguments: list[str], fault: str
) -> None:
    finished = run_command(*build_arguments(toolchain, checkpoint, tmp_path / "bundle"), *arguments)
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr.startswith(f"wizardtpu-compile: {fault}")
    assert finished.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_is_taken(toolchain: Toolchain, checkpoint: Path, plain: Bundle) -> None:
    finished = run_command(*build_arguments(toolchain, checkpoint, plain.directory))
    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr == (
        f"wizardtpu-compile: {plain.directory} holds a bundle already; --force replaces it\n"
    )


def test_without_a_toolchain_the_cure_is_told(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ToolchainError, match=r"there is no toolchain in .*: `wizardtpu-compile toolchain install "
    ):
        build_tpu_bundle(checkpoint, tmp_path / "bundle", few_shapes(), tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def without_cmake(tmp_path: Path) -> Iterator[str]:
    """A search path with everything of the host's but cmake."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for directory in os.environ["PATH"].split(os.pathsep):
        for program in Path(directory).glob("*"):
            link = programs / program.name
            if program.name != "cmake" and not link.is_symlink():
                link.symlink_to(program)
    yield str(programs)
    shutil.rmtree(programs)


def test_without_cmake_it_is_named(
    toolchain: Toolchain,
    checkpoint: Path,
    tmp_path: Path,
    without_cmake: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is needed once for each kind of attention; here for the first time."""
    fresh = tmp_path / "toolchain"
    (fresh / "kernels").mkdir(parents=True)
    for name in ("tpu_mlir", "simulator", MARKER_NAME):
        (fresh / name).symlink_to(toolchain.directory / name)
    monkeypatch.setenv("PATH", without_cmake)
    with pytest.raises(StepError, match=r"(?s)step block_\d_b1_.* this machine lacks cmake: apt install cmake"):
        build_tpu_bundle(checkpoint, tmp_path / "bundle", few_shapes(), fresh)
