"""What `inspect` tells of a bundle for the BM1684X."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest
from wizardtpu_compile.inspect import DeviceMemory, Report, Signature, describe, report
from wizardtpud.model.bmodel.model import Tensor
from wizardtpud.model.bundle import Bundle
from wizardtpud.model.manifest import FileEntry

from tests.support.small_bundle import manifest, write_manifest, write_small_bundle
from tests.support.tiny_bmodel import TinyNet, write_tiny_bmodel

MODEL = "model.bmodel"
CONTEXT, LAYERS, HEAD_DIM = 8, 2, 2  # of the small bundle
CACHE = 2 * LAYERS * CONTEXT * HEAD_DIM * 2


def nets() -> list[TinyNet]:
    """Those of the small bundle; blocks of a layer share their weights."""
    made = []
    for entry in manifest().networks:
        weights = f"layer {entry.first_layer}" if entry.role == "block" else entry.role
        tokens = entry.tokens or 1
        made.append(
            TinyNet(
                entry.name,
                weights=weights.encode(),
                instructions=b"i" * (10 * tokens),
                inputs={"hidden_states": (1, tokens, 6)},
                scratch=100 * tokens,
                io_size=1,
            )
        )
    return made


def make_bundle(directory: Path, made: list[TinyNet]) -> Bundle:
    directory.mkdir()
    path = write_tiny_bmodel(directory / MODEL, made)
    (directory / "tokenizer.json").write_bytes(b"{}")
    small = manifest({"tokenizer.json": b"{}"})
    files = small.files | {MODEL: FileEntry(path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())}
    networks = [msgspec.structs.replace(entry, file=MODEL) for entry in small.networks]
    made_with = {"tpu_mlir": "1.30.2"}
    write_manifest(
        directory,
        msgspec.structs.replace(small, target="bm1684x", networks=networks, files=files, made_with=made_with),
    )
    return Bundle.open(directory)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "bundle", nets())


def test_the_report_has_every_network(bundle: Bundle) -> None:
    found = report(bundle)
    assert [net.name for net in found.networks] == [entry.name for entry in bundle.manifest.networks]
    block = next(net for net in found.networks if net.name == "block_1_b1_t4_s8")
    assert (block.weights, block.instructions, block.tensors, block.scratch) == (len("layer 1"), 40, 1, 400)
    inputs = (Tensor("hidden_states", "float16", (1, 4, 6)),)
    assert block.stages == [Signature(inputs, (Tensor("hidden_states_out", "float16", (1, 1, 6)),))]


def test_the_report_adds_up_the_memory(bundle: Bundle) -> None:
    weights = sum(map(len, ("layer 0", "layer 1", "embedding", "lm_head", "greedy_head")))
    instructions = 3 * (10 + 40) + 2 * 10
    expected = DeviceMemory(
        weights=weights,
        instructions=instructions,
        tensors=8,
        scratch=400,
        cache=CACHE,
        total=weights + instructions + 8 + 400 + CACHE,
    )
    assert report(bundle).memory == [expected]


def test_the_report_survives_json(bundle: Bundle) -> None:
    found = report(bundle)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Report) == found


def test_the_text_tells_shapes_and_memory(bundle: Bundle) -> None:
    lines = list(describe(bundle))
    rows = [line.split() for line in lines]
    assert ["block_1_b1_t4_s8", "1", "4", "8", "40"] in rows
    assert "block_0_b1_t1_s8 and 1 more" not in lines, "all networks of one token have equal shapes here"
    assert "lm_head_b1 and 4 more" in lines
    assert "embedding_b1_t4 and 2 more" in lines
    assert "  input   hidden_states      float16  1 x 4 x 6" in lines
    memory = report(bundle).memory[0]
    assert ["0", *(str(getattr(memory, name)) for name in memory.__struct_fields__)] in rows
    assert MODEL in {row[0] for row in rows if row}


def test_every_device_has_its_memory(tmp_path: Path) -> None:
    divided = [
        TinyNet(f"{net.name}_{device}", main_name=net.name, device=device, scratch=10 + device)
        for net in nets()
        for device in (0, 1)
    ]
    write_tiny_bmodel(tmp_path / MODEL, divided, devices=2)
    small = manifest()
    networks = [msgspec.structs.replace(entry, file=MODEL) for entry in small.networks]
    numbers = msgspec.structs.replace(small, target="bm1684x", networks=networks, devices=2)
    bundle = Bundle(tmp_path, numbers, "digest")
    assert [memory.scratch for memory in report(bundle).memory] == [10, 11]
    assert {(net.name, net.device) for net in report(bundle).networks} == {
        (net.name, device) for net in nets() for device in (0, 1)
    }
    assert sum(line.startswith("lm_head_b1 and 7 more") for line in describe(bundle)) == 1


def test_a_bundle_for_the_cpu_has_files_instead(tmp_path: Path) -> None:
    bundle = Bundle.open(write_small_bundle(tmp_path / "bundle"))
    assert report(bundle) == Report(bundle.digest, bundle.manifest)
    assert b'"memory"' not in msgspec.json.encode(report(bundle))
    rows = [line.split() for line in describe(bundle)]
    assert ["block_1_b1_t4_s8", "1", "4", "8", "nets/block_1.onnx"] in rows
