"""Bmodels of the vendor's compiler: put together, loaded and run by the vendor's runtime."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wizardtpu_compile.bmodel.assembly import Assembly
from wizardtpu_compile.bmodel.encoding import encode
from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.emit.tpu import emit, write_weights
from wizardtpu_compile.network import gpt_bigcode
from wizardtpu_compile.network.description import Network
from wizardtpu_compile.precision import WeightFormat
from wizardtpu_compile.simulation.simulator import Simulator
from wizardtpu_compile.toolchain.compiler import compile_network
from wizardtpu_compile.toolchain.toolchain import Toolchain
from wizardtpud.errors import BmodelError
from wizardtpud.model.bmodel import schema
from wizardtpud.model.bmodel.decoding import decode
from wizardtpud.model.bmodel.header import HEADER_SIZE, Header
from wizardtpud.model.bmodel.reading import binaries, read_contents, read_model

from tests.support.random_checkpoint import write_random_checkpoint

CONTEXT, HIDDEN, HEADS = 16, 128, 4
INT4, INT8 = WeightFormat(4, 64, "f16"), WeightFormat(8, 64, "f16")
DECODE, CHUNK, HEAD, DIVIDED = "block_0_b1_t1_s16", "block_0_b1_t4_s16", "lm_head_b1", "block_0_divided"

Inputs = Mapping[str, np.ndarray]


@pytest.fixture(scope="module")
def bmodels(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Two shapes of a layer, the output projection, and a layer for two devices, by the network's name."""
    directory = tmp_path_factory.mktemp("bmodels")
    checkpoint = Checkpoint.open(write_random_checkpoint(directory / "checkpoint", hidden=HIDDEN, heads=HEADS))
    block, head = gpt_bigcode.block(checkpoint, 0), gpt_bigcode.lm_head(checkpoint)
    write_weights(block, INT4, directory / "block.npz")
    write_weights(head, INT8, directory / "head.npz")

    def compiled(
        network: Network, name: str, tokens: int, form: WeightFormat, file: str, *, devices: int = 1
    ) -> Path:
        sizes = {"batch": 1, "tokens": tokens, "history": CONTEXT, "total": CONTEXT + tokens}
        mlir, bmodel = directory / f"{name}.mlir", directory / f"{name}.bmodel"
        mlir.write_text(emit(network, name, sizes, form, file, devices))
        compile_network(toolchain, mlir, bmodel, directory / f"{name}.log")
        return bmodel

    return {
        DECODE: compiled(block, DECODE, 1, INT4, "block.npz"),
        CHUNK: compiled(block, CHUNK, 4, INT4, "block.npz"),
        HEAD: compiled(head, HEAD, 1, INT8, "head.npz"),
        DIVIDED: compiled(block, DIVIDED, 1, INT4, "block.npz", devices=2),
    }


@pytest.fixture(scope="module")
def assembled(bmodels: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("assembled") / "model.bmodel"
    assembly = Assembly.open(path)
    assembly.add("block_0", [bmodels[DECODE], bmodels[CHUNK]])
    assembly.add("lm_head", [bmodels[HEAD]])
    assembly.finish()
    return path


def model_tool(toolchain: Toolchain, *arguments: str | Path, cwd: Path | None = None) -> str:
    """What the vendor's tool says."""
    libraries = [toolchain.package / "lib", toolchain.package / "lib" / "third_party"]
    outcome = subprocess.run(
        [toolchain.package / "bin" / "model_tool", *arguments],
        env=toolchain.environment() | {"LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries))},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
    )
    return outcome.stdout


def told_memory(toolchain: Toolchain, path: Path) -> list[int]:
    """What the vendor's tool says of a file: bytes in all, of weights, of instructions, of scratch memory."""
    line = re.search(r"device mem size: .*", model_tool(toolchain, "--info", path))
    assert line
    return list(map(int, re.findall(r"\d+", line[0])))


def memory(path: Path) -> list[int]:
    found = read_model(path).memory()
    return [found.loaded, found.weights, found.instructions, found.scratch]


def test_memory_is_what_the_vendor_tells(
    toolchain: Toolchain, bmodels: Mapping[str, Path], assembled: Path
) -> None:
    for path in (bmodels[DECODE], bmodels[CHUNK], bmodels[HEAD], assembled):
        assert memory(path) == told_memory(toolchain, path)


def test_assembling_is_what_the_vendor_s_combining_is(
    toolchain: Toolchain, bmodels: Mapping[str, Path], assembled: Path, tmp_path: Path
) -> None:
    names = [DECODE, CHUNK, HEAD]
    model_tool(toolchain, "--combine", *(bmodels[name] for name in names), "-o", tmp_path / "combined")
    combined, ours = read_model(tmp_path / "combined"), read_model(assembled)
    assert {net.name: net for net in ours.nets} == {net.name: net for net in combined.nets}
    assert ours.memory() == combined.memory()
    assert set(ours.networks) == set(names)


def test_shapes_of_a_layer_share_their_weights(bmodels: Mapping[str, Path], assembled: Path) -> None:
    decode_stage, chunk_stage = (read_model(bmodels[name]).nets[0].stages[0] for name in (DECODE, CHUNK))
    assert decode_stage.weights_key == chunk_stage.weights_key
    nets = read_contents(assembled).description.net
    stored = {net.name: net.parameter[0].coeff_mem for net in nets if net.parameter}
    assert len({(mem.binary_coeff.start, mem.address) for mem in stored.values() if mem and mem.binary_coeff}) == 2


def test_a_kernel_module_is_stored_once(bmodels: Mapping[str, Path], assembled: Path) -> None:
    sizes = [read_contents(path).header.binaries for path in (bmodels[DECODE], bmodels[CHUNK], bmodels[HEAD])]
    module = read_contents(assembled).description.kernel_module
    assert module
    assert read_contents(assembled).header.binaries < sum(sizes) - 2 * module.binary.size + 3 * 4096


def inputs(model: Path, name: str) -> Inputs:
    """Small numbers, the same each time, and a mask that hides nothing."""
    random = np.random.default_rng(1)
    (net,) = read_model(model).networks[name]
    return {
        tensor.name: np.zeros(tensor.shape, np.float32)
        if tensor.name == "attention_mask"
        else random.normal(0, 0.5, tensor.shape).astype(np.float32)
        for tensor in net.stages[0].inputs
    }


def test_networks_compute_what_they_did_in_their_own_files(
    toolchain: Toolchain, bmodels: Mapping[str, Path], assembled: Path
) -> None:
    names = [DECODE, CHUNK, HEAD]
    simulator = Simulator(toolchain.simulator)
    together = simulator.run_networks(assembled, [(name, inputs(bmodels[name], name)) for name in names])
    for name, outputs in zip(names, together, strict=True):
        (alone,) = simulator.run_networks(bmodels[name], [(name, inputs(bmodels[name], name))])
        assert outputs.keys() == alone.keys()
        for tensor, values in outputs.items():
            assert np.any(values)
            np.testing.assert_array_equal(values, alone[tensor])


def test_a_network_for_two_devices_survives_a_round_trip(
    toolchain: Toolchain, bmodels: Mapping[str, Path], tmp_path: Path
) -> None:
    """The vendor's tool reads every field, and finds the same in both."""
    path = bmodels[DIVIDED]
    contents = read_contents(path)
    (parts,) = read_model(path).networks.values()
    assert [(net.network, net.device) for net in parts] == [(DIVIDED, 0), (DIVIDED, 1)]
    body = path.read_bytes()[contents.header.start :]
    encoded = encode(contents.description)
    rewritten = tmp_path / "rewritten.bmodel"
    rewritten.write_bytes(Header(len(encoded), len(body)).pack() + encoded + body)
    assert model_tool(toolchain, "--print", rewritten) == model_tool(toolchain, "--print", path)


def test_networks_for_two_devices_are_assembled(
    toolchain: Toolchain, bmodels: Mapping[str, Path], tmp_path: Path
) -> None:
    assembly = Assembly.open(tmp_path / "model.bmodel")
    assembly.add("block_0", [bmodels[DIVIDED]])
    assembly.finish()
    model, part = read_model(assembly.path), read_model(bmodels[DIVIDED])
    assert (model.devices, model.nets) == (2, part.nets)
    info = model_tool(toolchain, "--info", assembly.path)
    assert f"net: [{DIVIDED}]  cascade" in info
    assert "device num: 2" in info
    with pytest.raises(BmodelError, match="its device_num is not"):
        assembly.add("block_1", [bmodels[DECODE]])


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.integers(0, 3000), st.integers(0, 255), max_size=4))
def test_a_damaged_description_gives_a_model_or_an_error(
    bmodels: Mapping[str, Path], changes: Mapping[int, int]
) -> None:
    with bmodels[DECODE].open("rb") as file:
        header = Header.unpack(file.read(HEADER_SIZE))
        content = bytearray(file.read(header.description))
    for position, value in changes.items():
        content[position] = value
    try:
        description = decode(bytes(content), schema.Model)
    except BmodelError:
        return
    assert len(list(binaries(description))) < len(content)
