"""Weights in groups: how far they are from the float ones, and what is in the file."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.emit.weights import pack
from wizardtpu_compile.errors import CheckpointError
from wizardtpu_compile.network import gpt_bigcode
from wizardtpu_compile.network.description import Matrix, Weight
from wizardtpu_compile.precision import WeightFormat
from wizardtpu_compile.rounding import rounded_rows, strips, to_float, to_groups

Floats = NDArray[np.float32]

GROUP = 8
FORMATS = [WeightFormat(bits, GROUP, kind) for bits in (4, 8) for kind in ("f16", "bf16")]
ROUNDING = {"f16": 2.0**-11, "bf16": 2.0**-8}
"""Relative error of rounding to the type."""
SMALLEST = {"f16": 2.0**-25, "bf16": 0.0}
"""Absolute error of rounding what is nearly zero."""

# Within what float16 can tell apart, as the weights of a network are.
numbers = st.floats(-1000, 1000, width=32).map(lambda value: value if abs(value) > 1e-3 else 0.0)
matrices = arrays(np.float32, (3, 2 * GROUP), elements=numbers)
forms = st.sampled_from(FORMATS)


@given(matrices, forms)
def test_errors_are_at_most_half_a_level_and_what_rounding_to_floats_adds(
    weight: Floats, form: WeightFormat
) -> None:
    groups = to_groups(weight, form, "w")
    grouped = weight.reshape(3, 2, GROUP).astype(np.float64)
    span = np.maximum(grouped.max(axis=-1), 0) - np.minimum(grouped.min(axis=-1), 0)
    level = np.maximum(span, 1e-5) / (2**form.bits - 1)
    floats = 2 * ROUNDING[form.float] * span + 2**form.bits * SMALLEST[form.float]
    error = np.abs(groups.values().reshape(grouped.shape) - grouped)
    assert (error <= (0.501 * level + floats)[..., None]).all()


@given(matrices, forms)
def test_zero_stays_zero(weight: Floats, form: WeightFormat) -> None:
    weight[:, ::3] = 0
    assert (to_groups(weight, form, "w").values()[:, ::3] == 0).all()


@given(
    st.sampled_from([4, 8]), st.integers(0, 255), st.integers(-6, 6), st.sampled_from(["f16", "bf16"]), st.data()
)
def test_what_can_be_represented_is_exact(
    bits: int, zero: int, power: int, kind: str, data: st.DataObject
) -> None:
    """Levels times a power of two, the lowest and the highest among them."""
    highest = 2**bits - 1
    zero = min(zero, highest)
    inner = data.draw(st.lists(st.integers(0, highest), min_size=GROUP - 2, max_size=GROUP - 2))
    weight = (np.array([[0, highest, *inner]], np.float32) - zero) * np.float32(2.0**power)
    form = WeightFormat(bits, GROUP, kind)  # type: ignore[arg-type]
    groups = to_groups(weight, form, "w")
    assert groups.zero_points.tolist() == [[zero]]
    np.testing.assert_array_equal(groups.values(), weight)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("sign", [1, -1])
def test_groups_of_one_sign_are_stretched_to_zero(form: WeightFormat, sign: int) -> None:
    weight = sign * np.linspace(10, 11, 2 * GROUP, dtype=np.float32)[None]
    assert np.abs(to_groups(weight, form, "w").values() - weight).max() <= 11 / (2**form.bits - 1)


def test_halves_go_away_from_zero() -> None:
    weight = np.array([[-7, 8, 0.5, 1.5, -0.5, -1.5, 2.5, 0]], np.float32)
    found = to_groups(weight, WeightFormat(4, GROUP, "f16"), "w").values()
    assert found.tolist() == [[-7, 8, 1, 2, -1, -2, 3, 0]]


def test_products_are_rounded_as_on_the_chip() -> None:
    """A level times a scale has more digits than the type: 13 * 1.0009765625 is between two float16."""
    scale = np.float32(1.0009765625)
    weight = np.zeros((1, GROUP), np.float32)
    weight[0, :2] = 15 * scale, 13 * scale
    value = to_groups(weight, WeightFormat(4, GROUP, "f16"), "w").values()[0, 1]
    assert value == np.float16(13 * scale) != 13 * scale


@given(arrays(np.uint8, (3, 6), elements=st.integers(0, 15)))
def test_packing_keeps_every_level(levels: NDArray[np.uint8]) -> None:
    packed = pack(levels)
    assert packed.dtype == np.uint8
    np.testing.assert_array_equal(np.stack([packed & 15, packed >> 4], axis=-1).reshape(levels.shape), levels)


def test_values_beyond_the_float_type_are_refused() -> None:
    array = np.array([1.0, -70000.0], np.float32)
    with pytest.raises(CheckpointError, match=r"weight h\.0\.bias has values as large as 70000, beyond float16"):
        to_float(array, WeightFormat(16, None, "f16"), "h.0.bias")
    rounded = to_float(array, WeightFormat(16, None, "bf16"), "h.0.bias")
    assert rounded.astype(np.float32)[1] == np.float32(ml_dtypes.bfloat16(-70000.0))


def test_scales_beyond_the_float_type_are_refused() -> None:
    with pytest.raises(CheckpointError, match="weight w has values as large"):
        to_groups(np.full((1, GROUP), 3e6, np.float32), WeightFormat(4, GROUP, "f16"), "w")


def test_strips_are_the_weight_in_order() -> None:
    stored = np.arange(3000 * 200, dtype=np.float32).reshape(3000, 200)
    parts = list(strips(Weight("w", stored.shape, lambda start, stop: stored[start:stop])))
    assert len(parts) > 1
    np.testing.assert_array_equal(np.concatenate(parts), stored)


def test_matrices_are_transposed_when_read_and_not_when_stored(sound_checkpoint: Path) -> None:
    checkpoint = Checkpoint.open(sound_checkpoint)
    stored = checkpoint.read("h.1.attn.c_attn.weight")
    matrices = {
        weight.name: weight
        for operation in gpt_bigcode.block(checkpoint, 1).operations
        for weight in operation.weights()
    }
    key = matrices["h.1.attn.c_attn.key.weight"]
    assert isinstance(key, Matrix)
    assert (key.shape, key.stored_shape) == ((64, 16), (16, 64))
    np.testing.assert_array_equal(key.read(), stored[64:80].T)
    np.testing.assert_array_equal(key.rows(3, 5), stored[67:69])


def test_only_matrices_are_in_groups() -> None:
    stored = np.random.default_rng(0).standard_normal((16, 2 * GROUP)).astype(np.float32)
    form = WeightFormat(4, GROUP, "f16")

    def rows(start: int, stop: int) -> Floats:
        return stored[start:stop]

    table, matrix = Weight("table", stored.shape, rows), Matrix("matrix", stored.shape[::-1], rows)
    np.testing.assert_array_equal(rounded_rows(table, form), stored.astype(np.float16))
    np.testing.assert_array_equal(rounded_rows(matrix, form), to_groups(stored, form, "matrix").values())
