"""A build gives a whole bundle that says what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from wizardtpu_compile.errors import CheckpointError, OptionError
from wizardtpu_compile.options import CpuOptions
from wizardtpu_compile.targets.cpu import build_cpu_bundle
from wizardtpud.errors import BundleError
from wizardtpud.model.bundle import Bundle
from wizardtpud.model.chat_template import WIZARDCODER_CHAT_TEMPLATE
from wizardtpud.model.manifest import Architecture, Manifest, Quantization

from tests.support.edited_checkpoint import edit_json
from tests.support.networks import logits_of
from tests.support.random_checkpoint import write_random_checkpoint
from tests.support.reference_gpt_bigcode import ReferenceModel


def manifest_of(checkpoint: Path, output: Path, options: CpuOptions | None = None) -> Manifest:
    """The manifest of a build, once the daemon's own checks have passed."""
    build_cpu_bundle(checkpoint, output, options or CpuOptions())
    return Bundle.open(output).manifest


def test_manifest(sound_checkpoint: Path, tmp_path: Path) -> None:
    options = CpuOptions(context=100, prefill_chunks=(64, 8, 100, 256, 8), name="small")
    manifest = manifest_of(sound_checkpoint, tmp_path / "bundle", options)
    assert (manifest.name, manifest.target, manifest.context, manifest.end_of_text) == ("small", "cpu", 100, [0])
    assert manifest.architecture == Architecture("gpt_bigcode", 2, 64, 4, 1, 16, 256, 320, 128)
    assert manifest.quantization == Quantization(blocks="f32", lm_head="f32", embedding="f32")
    assert manifest.chat_template == WIZARDCODER_CHAT_TEMPLATE
    assert {"wizardtpu-compile", "onnx", "onnxruntime"} == manifest.made_with.keys()
    assert [network.name for network in manifest.networks] == [
        *(f"embedding_b1_t{tokens}" for tokens in (1, 8, 64)),
        *(f"block_{layer}_b1_t{tokens}_s100" for layer in (0, 1) for tokens in (1, 8, 64)),
        "lm_head_b1",
        "greedy_head_b1",
    ]


def test_defaults_follow_the_checkpoint(sound_checkpoint: Path, tmp_path: Path) -> None:
    manifest = manifest_of(sound_checkpoint, tmp_path / "bundle")
    assert (manifest.name, manifest.context) == ("checkpoint", 128)
    assert {network.tokens for network in manifest.networks if network.role == "block"} == {1, 8, 16, 32, 64}


@pytest.mark.parametrize("quantize", ["int8", "int4"])
def test_quantized_manifest_and_files(sound_checkpoint: Path, tmp_path: Path, quantize: Any) -> None:
    options = CpuOptions(quantize=quantize, group_size=32)
    manifest = manifest_of(sound_checkpoint, tmp_path / "bundle", options)
    assert manifest.quantization == Quantization(quantize, lm_head="int8", embedding="f32", group_size=32)
    assert bits_of(tmp_path / "bundle", "block_0") == [8 if quantize == "int8" else 4] * 6
    assert bits_of(tmp_path / "bundle", "lm_head") == [8]
    assert bits_of(tmp_path / "bundle", "embedding") == []


def bits_of(bundle: Path, network: str) -> list[int]:
    nodes = onnx.load(bundle / "nets" / f"{network}.onnx").graph.node
    quantized = [node for node in nodes if node.op_type == "MatMulNBits"]
    return [attribute.i for node in quantized for attribute in node.attribute if attribute.name == "bits"]


def test_every_network_is_compared_with_the_checkpoint(sound_checkpoint: Path, tmp_path: Path) -> None:
    result = build_cpu_bundle(sound_checkpoint, tmp_path / "bundle", CpuOptions(quantize="int4"))
    assert set(result.similarity) == {name for name in result.manifest.files if name.endswith(".onnx")}
    assert result.similarity["nets/embedding.onnx"] > 0.9999999
    assert result.similarity["nets/greedy_head.onnx"] == 1
    assert 0.97 < result.similarity["nets/block_0.onnx"] < 0.9999


def test_the_same_input_gives_the_same_bundle(sound_checkpoint: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        build_cpu_bundle(sound_checkpoint, tmp_path / name, CpuOptions(quantize="int4"))
    assert Bundle.open(tmp_path / "first").digest == Bundle.open(tmp_path / "second").digest


def test_untied_head(tmp_path: Path) -> None:
    checkpoint = write_random_checkpoint(tmp_path / "checkpoint", tied=False, vocabulary=333)
    build_cpu_bundle(checkpoint, tmp_path / "bundle")
    expected = ReferenceModel(checkpoint).logits([5, 6, 7])[-1]
    np.testing.assert_allclose(logits_of(tmp_path / "bundle", [5, 6, 7]), expected, atol=1e-4)


@pytest.mark.parametrize("quantize", ["f32", "int8", "int4"])
def test_a_text_that_never_ends(tmp_path: Path, quantize: Any) -> None:
    checkpoint = write_random_checkpoint(tmp_path / "checkpoint", never_ends=True)
    build_cpu_bundle(checkpoint, tmp_path / "bundle", CpuOptions(quantize=quantize))
    logits = logits_of(tmp_path / "bundle", [0, 1, 2])
    assert logits[0] < logits[1:].min() - 5000


def test_smallest_context(sound_checkpoint: Path, tmp_path: Path) -> None:
    manifest = manifest_of(sound_checkpoint, tmp_path / "bundle", CpuOptions(context=2))
    assert {network.tokens for network in manifest.networks if network.role == "block"} == {1}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (CpuOptions(context=129), ["--context 129", "128"]),
        (CpuOptions(context=1), ["--context 1", "2"]),
        (CpuOptions(prefill_chunks=(16, 0)), ["--prefill-chunks 0"]),
        (CpuOptions(quantize="int4", group_size=48), ["--group-size 48", "64"]),
        (CpuOptions(chat_template="{% if %}"), ["--chat-template, line 1"]),
        (CpuOptions(chat_template="Hello!"), ["--chat-template", "leaves out the instruction"]),
        (CpuOptions(chat_template="{{ raise_exception('never') }}"), ["--chat-template", "never"]),
    ],
)
def test_impossible_options(sound_checkpoint: Path, tmp_path: Path, options: CpuOptions, words: list[str]) -> None:
    with pytest.raises(OptionError) as caught:
        build_cpu_bundle(sound_checkpoint, tmp_path / "bundle", options)
    assert [word for word in words if word not in str(caught.value)] == []
    assert list(tmp_path.iterdir()) == []


TEMPLATE = "{{ messages[0].content }}"


@pytest.mark.parametrize(
    "files",
    [
        {"tokenizer_config.json": json.dumps({"chat_template": TEMPLATE})},
        {"tokenizer_config.json": json.dumps({"chat_template": [{"name": "default", "template": TEMPLATE}]})},
        {"chat_template.jinja": TEMPLATE, "tokenizer_config.json": json.dumps({"chat_template": "other"})},
    ],
)
def test_chat_template_of_the_checkpoint(checkpoint: Path, tmp_path: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (checkpoint / name).write_text(content)
    assert manifest_of(checkpoint, tmp_path / "bundle").chat_template == TEMPLATE


def test_chat_template_of_the_options_comes_first(checkpoint: Path, tmp_path: Path) -> None:
    edit_json(checkpoint / "tokenizer_config.json", chat_template="other")
    options = CpuOptions(chat_template=TEMPLATE)
    assert manifest_of(checkpoint, tmp_path / "bundle", options).chat_template == TEMPLATE


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ('{"chat_template": "{% if %}"}', CheckpointError, "its chat template, line 1"),
        ('{"chat_template": 3}', BundleError, r"tokenizer_config.json: Expected .* at `\$.chat_template`"),
        ("{", BundleError, "tokenizer_config.json is damaged"),
    ],
)
def test_names_a_damaged_chat_template(
    checkpoint: Path, tmp_path: Path, content: str, error: type[Exception], message: str
) -> None:
    (checkpoint / "tokenizer_config.json").write_text(content)
    with pytest.raises(error, match=message):
        build_cpu_bundle(checkpoint, tmp_path / "bundle")


def test_refuses_networks_that_no_onnx_file_can_hold(tmp_path: Path) -> None:
    """A vocabulary of nine million, in a sparse file of which nothing but the header is read."""
    rows = 9_000_000
    checkpoint = write_random_checkpoint(tmp_path / "checkpoint", shards=2)
    edit_json(checkpoint / "config.json", vocab_size=rows)
    entry = {"dtype": "F16", "shape": [rows, 64], "data_offsets": [0, rows * 64 * 2]}
    header = json.dumps({"transformer.wte.weight": entry}).encode()
    with (checkpoint / "large.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + rows * 64 * 2)
    index = checkpoint / "model.safetensors.index.json"
    where = json.loads(index.read_text())["weight_map"] | {"transformer.wte.weight": "large.safetensors"}
    edit_json(index, weight_map=where)
    with pytest.raises(OptionError, match=r"embedding would take 2\.3 GB"):
        build_cpu_bundle(checkpoint, tmp_path / "bundle")
