"""The text of a module and its weight file, without the toolchain that takes them."""

from __future__ import annotations

import re
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.emit.tpu import emit, io_dtype, rounded, write_weights
from wizardtpu_compile.errors import CheckpointError
from wizardtpu_compile.network import gpt_bigcode
from wizardtpu_compile.network.description import BATCH, Linear, Matrix, Network, Value, Weight
from wizardtpu_compile.precision import WeightFormat

from tests.support.random_checkpoint import random_weights, write_random_checkpoint
from tests.support.random_checkpoint import write_weights as save_tensors

F16, BF16 = WeightFormat(16, None, "f16"), WeightFormat(16, None, "bf16")
INT4, INT8 = WeightFormat(4, 32, "f16"), WeightFormat(8, 32, "bf16")
SIZES = {"batch": 2, "tokens": 3, "history": 16, "total": 19}
ROLES: dict[str, Callable[[Checkpoint], Network]] = {
    "embedding": gpt_bigcode.embedding,
    "block": lambda checkpoint: gpt_bigcode.block(checkpoint, 0),
    "blocks": lambda checkpoint: gpt_bigcode.block(checkpoint, 0, 2),
    "lm_head": gpt_bigcode.lm_head,
    "greedy_head": gpt_bigcode.greedy_head,
}
ITEM_BYTES = {"ui8": 1, "f16": 2, "bf16": 2}


def text(network: Network, form: WeightFormat, devices: int = 1) -> str:
    return emit(network, "net", SIZES, form, "weights.npz", devices)


def weights_of(module: str) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and type of the arrays that a module reads, by name."""
    found = re.findall(r'"top\.Weight"\(\) : \(\) -> tensor<([0-9x]+)x(\w+)> loc\("([^"]+)"\)', module)
    return {name: (tuple(map(int, shape.split("x"))), element) for shape, element, name in found}


@pytest.mark.parametrize("form", [F16, BF16, INT4, INT8])
@pytest.mark.parametrize("role", ROLES)
def test_the_weight_file_has_what_the_text_reads(
    sound_checkpoint: Path, tmp_path: Path, role: str, form: WeightFormat
) -> None:
    network = ROLES[role](Checkpoint.open(sound_checkpoint))
    write_weights(network, form, tmp_path / "weights.npz")
    read = weights_of(text(network, form))
    with np.load(tmp_path / "weights.npz") as arrays:
        assert set(arrays) == (set(read) or {"none"})
        for name, (shape, element) in read.items():
            assert arrays[name].size == np.prod(shape), name
            assert arrays[name].itemsize == ITEM_BYTES[element], name


@pytest.mark.parametrize("role", ROLES)
def test_the_text_depends_on_shapes_alone(tmp_path: Path, sound_checkpoint: Path, role: str) -> None:
    other = write_random_checkpoint(tmp_path / "other", seed=7, dtype="float32")
    texts = {text(ROLES[role](Checkpoint.open(path)), INT4) for path in (sound_checkpoint, other)}
    assert len(texts) == 1


def test_no_weight_is_read_for_the_text(sound_checkpoint: Path) -> None:
    def unreadable(start: int, stop: int) -> NDArray[np.float32]:
        raise AssertionError

    network = gpt_bigcode.lm_head(Checkpoint.open(sound_checkpoint))
    operations = tuple(
        replace(op, weight=replace(op.weight, rows=unreadable)) if isinstance(op, Linear) else op
        for op in network.operations
    )
    assert text(replace(network, operations=operations), INT4) == text(network, INT4)


def test_inputs_and_outputs_have_their_types(sound_checkpoint: Path) -> None:
    checkpoint = Checkpoint.open(sound_checkpoint)
    assert "(%arg0: tensor<2x3xsi32> loc(unknown), %arg1: tensor<2x3xsi32> loc(unknown))" in text(
        gpt_bigcode.embedding(checkpoint), BF16
    )
    assert ") -> (tensor<2x1xi32>) {" in text(gpt_bigcode.greedy_head(checkpoint), F16)
    block = gpt_bigcode.block(checkpoint, 0, 2)
    names = [value.name for value in (*block.inputs, *block.outputs)]
    assert names == [
        *("hidden_states", "attention_mask", "history_k_0", "history_v_0", "history_k_1", "history_v_1"),
        *("hidden_states_out", "new_k_0", "new_v_0", "new_k_1", "new_v_1"),
    ]
    assert all(f'loc("{name}")' in text(block, INT4) for name in names)
    assert {io_dtype(value, INT8) for value in block.inputs} == {INT8.dtype}
    assert io_dtype(gpt_bigcode.embedding(checkpoint).inputs[0], INT8) == np.int32


@pytest.mark.parametrize(
    ("form", "devices", "attributes"),
    [
        (F16, 1, ('mode = "F16"', "devices = 1 ", 'addr_mode = "io_reloc"')),
        (BF16, 1, ('mode = "BF16"', "q_group_size = 0 ")),
        (INT4, 2, ('mode = "W4F16"', "q_group_size = 32 ", "devices = 2 ")),
        (INT8, 8, ('mode = "W8BF16"', "devices = 8 ", 'weight_file = "weights.npz"')),
    ],
)
def test_attributes_of_the_module(
    sound_checkpoint: Path, form: WeightFormat, devices: int, attributes: tuple[str, ...]
) -> None:
    first = text(gpt_bigcode.block(Checkpoint.open(sound_checkpoint), 0), form, devices).splitlines()[0]
    assert all(f"module.{attribute}" in first for attribute in attributes)


def test_outputs_that_do_not_fill_the_lanes(sound_checkpoint: Path, tmp_path: Path) -> None:
    """320 tokens fill them; 321 are filled up with zeros, and cut off again."""
    assert "tpu.Slice" not in text(gpt_bigcode.lm_head(Checkpoint.open(sound_checkpoint)), INT4)
    odd = Checkpoint.open(write_random_checkpoint(tmp_path / "odd", vocabulary=321))
    module = text(gpt_bigcode.lm_head(odd), INT4)
    assert "tensor<384x32xui8>" in module
    assert 'tensor<2x321xf16> loc("logits")' in module
    write_weights(gpt_bigcode.lm_head(odd), INT4, tmp_path / "weights.npz")
    with np.load(tmp_path / "weights.npz") as arrays:
        levels = arrays["lm_head.weight.levels"].reshape(384, 32)
        assert levels[320].any()
        assert not levels[321:].any()
        assert not arrays["lm_head.weight.scales"][321:].any()
    assert "tpu.Slice" not in text(gpt_bigcode.lm_head(odd), F16)


def test_the_reference_reads_what_the_file_holds(sound_checkpoint: Path, tmp_path: Path) -> None:
    network = gpt_bigcode.lm_head(Checkpoint.open(sound_checkpoint))
    write_weights(network, INT4, tmp_path / "weights.npz")
    (matrix,) = (op.weight for op in network.operations if isinstance(op, Linear))
    with np.load(tmp_path / "weights.npz") as arrays:
        packed = arrays["lm_head.weight.levels"].reshape(320, 32)
        scales = arrays["lm_head.weight.scales"].view(np.float16)
        zeros = arrays["lm_head.weight.zero_points"]
    levels = np.stack([packed & 15, packed >> 4], axis=-1).reshape(320, 2, 32).astype(np.float16)
    expected = ((levels - zeros[..., None]) * scales[..., None]).reshape(320, 64).T
    np.testing.assert_array_equal(rounded(INT4)(matrix), expected)


def test_the_same_weights_give_the_same_bytes(sound_checkpoint: Path, tmp_path: Path) -> None:
    network = gpt_bigcode.block(Checkpoint.open(sound_checkpoint), 0)
    for name in ("one", "two"):
        write_weights(network, INT4, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert {info.compress_type for info in zipfile.ZipFile(tmp_path / "one").infolist()} == {zipfile.ZIP_STORED}


def test_a_file_that_was_not_finished_is_not_there(checkpoint: Path, tmp_path: Path) -> None:
    weights = random_weights(
        hidden=64, heads=4, layers=2, positions=128, vocabulary=320, inner=256, seed=0, tied=True
    )
    weights["transformer.h.1.mlp.c_proj.weight"][60, 3] = np.nan
    save_tensors(checkpoint, weights)
    network = gpt_bigcode.block(Checkpoint.open(checkpoint), 1)
    with pytest.raises(CheckpointError, match=r"h\.1\.mlp\.c_proj\.weight holds 1 values that are NaN"):
        write_weights(network, INT4, tmp_path / "weights.npz")
    assert list(tmp_path.glob("*weights.npz*")) == []


@pytest.mark.parametrize("form", [INT4, F16])
def test_large_weights_are_never_in_memory(
    tmp_path: Path, form: WeightFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wizardtpu_compile.emit.weights._PANEL", 1 << 20)
    inputs, outputs = 1024, 8192
    matrix = Matrix("w", (inputs, outputs), lambda a, b: np.full((min(b, outputs) - a, inputs), 0.25, np.float32))
    source, result = Value("x", (BATCH, inputs)), Value("y", (BATCH, outputs))
    network = Network("lm_head", (source,), (result,), (Linear(source, matrix, None, result),))
    tracemalloc.start()
    try:
        write_weights(network, form, tmp_path / "weights.npz")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * inputs * outputs / 2
    with np.load(tmp_path / "weights.npz") as arrays:
        if form is F16:
            assert (arrays["w"].view(np.float16) == 0.25).all()


def test_operations_without_a_form_on_the_chip_are_refused() -> None:
    class Unknown:
        output = Value("y", (BATCH,))

        def weights(self) -> list[Weight]:
            return []

    network = Network("lm_head", (), (), (Unknown(),))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="no operation of the BM1684X for Unknown"):
        text(network, F16)
