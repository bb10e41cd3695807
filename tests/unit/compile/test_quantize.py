"""Quantized weights are close to the float ones, and quantized networks to their dequantized weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.network.description import Linear, Network, Weight
from wizardtpu_compile.network.gpt_bigcode import block, lm_head
from wizardtpu_compile.network.reference import evaluate
from wizardtpu_compile.options.cpu import CpuOptions, Precision
from wizardtpu_compile.quantize import BlockQuantization
from wizardtpu_compile.targets.cpu import build_cpu_bundle

from tests.support.networks import causal_mask, run

Floats = NDArray[np.float32]


def dequantized(quantization: BlockQuantization, weight: Floats) -> Floats:
    """The weight as the packed form says it, by the definition of MatMulNBits."""
    packed = quantization.quantize(weight)
    outputs, groups, _ = packed.packed.shape
    levels = unpacked(packed.packed, quantization.bits).astype(np.float32)
    zero = np.full((outputs, groups), 2.0 ** (quantization.bits - 1), np.float32)
    if packed.zero_points is not None:
        zero = unpacked(packed.zero_points, quantization.bits)[:, :groups].astype(np.float32)
    values = (levels - zero[..., None]) * packed.scales[..., None]
    return np.ascontiguousarray(values.reshape(outputs, -1)[:, : weight.shape[0]].T)


def unpacked(packed: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    if bits == 8:
        return packed
    return np.stack([packed & 15, packed >> 4], axis=-1).reshape(*packed.shape[:-1], -1)


def cosine(left: Floats, right: Floats) -> float:
    return float((left * right).sum() / np.linalg.norm(left) / np.linalg.norm(right))


@pytest.mark.parametrize("group_size", [16, 64])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("inputs", [64, 100])
def test_rounding_errors_are_below_one_level_of_the_group(bits: int, group_size: int, inputs: int) -> None:
    weight = np.random.default_rng(bits).standard_normal((inputs, 7), np.float32)
    error = np.abs(dequantized(BlockQuantization(bits, group_size), weight) - weight)
    for start in range(0, inputs, group_size):
        group = slice(start, start + group_size)
        level = 2 * np.abs(weight[group]).max(axis=0) / (2**bits - 1)
        assert (error[group] <= level).all()


def test_four_bits_use_the_whole_range_of_a_group() -> None:
    """Weights of one sign would lose half of the levels to a fixed zero point."""
    weight = np.linspace(0, 15, 16, dtype=np.float32)[:, None]
    np.testing.assert_allclose(dequantized(BlockQuantization(4, 16), weight), weight, atol=1e-5)


@pytest.mark.parametrize("group_size", [32, 128])
@pytest.mark.parametrize("quantize", ["int8", "int4"])
def test_networks_equal_their_dequantized_weights(
    sound_checkpoint: Path, tmp_path: Path, quantize: Precision, group_size: int
) -> None:
    build_cpu_bundle(sound_checkpoint, tmp_path / "bundle", CpuOptions(quantize=quantize, group_size=group_size))
    checkpoint, bits = Checkpoint.open(sound_checkpoint), 4 if quantize == "int4" else 8
    random = np.random.default_rng(0)
    hidden = random.standard_normal((1, 5, 64), np.float32)
    rows = random.standard_normal((2, 1, 8, 1, 16), np.float32)
    block_inputs = {
        "hidden_states": hidden,
        "attention_mask": causal_mask(5, history=8, visible=4),
        "history_k": rows[0],
        "history_v": rows[1],
    }
    cases = (
        (block(checkpoint, 0), bits, block_inputs),
        (lm_head(checkpoint), 8, {"hidden_states": hidden[:, :1]}),
    )
    for network, width, inputs in cases:
        read = rounded_reader(network, BlockQuantization(width, group_size))
        expected = evaluate(network, [inputs], read)[0]
        found = run(tmp_path / "bundle" / "nets" / f"{network.name}.onnx", *inputs.values())
        # Activations are rounded to 8 bits within the products: that is the rest of the difference.
        for output, array in zip(found, expected.values(), strict=True):
            assert cosine(output, array) > 0.9998


def rounded_reader(network: Network, quantization: BlockQuantization) -> Callable[[Weight], Floats]:
    linears = {op.weight.name for op in network.operations if isinstance(op, Linear)}

    def read(weight: Weight) -> Floats:
        return dequantized(quantization, weight.read()) if weight.name in linears else weight.read()

    return read
