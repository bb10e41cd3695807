"""Block-wise weight quantization by onnxruntime's own kernels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class QuantizedWeight:
    """A weight [inputs, outputs] as the MatMulNBits operator of onnxruntime takes it.

    Attributes:
        packed: uint8 [outputs, groups, group_size * bits / 8], two weights a byte at 4 bits, the first one low.
        scales: float32 [outputs, groups].
        zero_points: uint8 [outputs, ceil(groups * bits / 8)], packed alike; absent when it is 2**(bits - 1).
    """

    packed: NDArray[np.uint8]
    scales: NDArray[np.float32]
    zero_points: NDArray[np.uint8] | None


@dataclass(frozen=True)
class BlockQuantization:
    """`group_size` weights of one output share a scale: the largest magnitude at 8 bits, the range at 4 bits."""

    bits: int
    group_size: int

    @property
    def bytes_per_weight(self) -> float:
        """With the group's scale and zero point."""
        return self.bits / 8 + (4 + self.bits / 8) / self.group_size

    @property
    def symmetric(self) -> bool:
        """Whether the zero point is the middle. Four bits are too few to leave a part of the range unused."""
        return self.bits == 8

    def quantize(self, weight: NDArray[np.float32]) -> QuantizedWeight:
        """Rounds a weight [inputs, outputs]; a last group that is not full is filled up with zeros."""
        # What onnxruntime's MatMulNBitsQuantizer calls; that class itself takes whole models, which would put
        # every weight of a layer into memory at once as float32. Imported late, for it takes its time.
        from onnxruntime.capi import _pybind_state as kernels  # noqa: PLC0415

        inputs, outputs = weight.shape
        groups = -(-inputs // self.group_size)
        per_byte = 8 // self.bits
        packed = np.zeros((outputs, groups, self.group_size // per_byte), np.uint8)
        scales = np.zeros((outputs, groups), np.float32)
        zero_points = np.zeros((outputs, -(-groups // per_byte)), np.uint8)
        if missing := groups * self.group_size - inputs:
            weight = np.pad(weight, ((0, missing), (0, 0)))
        kernel = kernels.quantize_matmul_8bits if self.bits == 8 else kernels.quantize_matmul_4bits
        kernel(packed, weight, scales, zero_points, self.group_size, outputs, inputs, self.symmetric)
        return QuantizedWeight(packed, scales, None if self.symmetric else zero_points)
