"""Tensors in device memory."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from wizardtpud.device.bmrt.device import Device
from wizardtpud.device.bmrt.structures import Memory
from wizardtpud.device.checks import check_copy, check_view, check_write
from wizardtpud.device.runtime import Buffer, Packed

_ALIGNMENT = 64
"""Bytes; of what the chip's DMA moves at once, and a multiple of every element's size."""


class BmrtBuffer(Buffer):
    """A tensor without gaps; views share its memory.

    Attributes:
        memory: where it is on the device.
    """

    def __init__(self, device: Device, memory: Memory, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._device = device
        self.memory = memory
        self.shape = shape
        self.dtype = dtype

    @classmethod
    def zeros(cls, device: Device, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Self:
        """Allocates.

        Raises:
            DeviceError: the device has no room for it.
        """
        buffer = cls(device, device.allocate(prod(shape) * dtype.itemsize), shape, dtype)
        buffer.write(np.zeros(shape, dtype))
        return buffer

    def view(self, shape: tuple[int, ...], offset: int = 0) -> BmrtBuffer:
        check_view(self, shape, offset)
        part = self.memory.part(offset * self.dtype.itemsize, prod(shape) * self.dtype.itemsize)
        return BmrtBuffer(self._device, part, shape, self.dtype)

    def write(self, array: NDArray[Any]) -> None:
        check_write(self, array)
        contiguous = np.ascontiguousarray(array)
        self._device.write(self.memory, contiguous.ctypes.data)

    def read(self) -> NDArray[Any]:
        array = np.empty(self.shape, self.dtype)
        self._device.read(self.memory, array.ctypes.data)
        return array

    def copy_from(self, source: Buffer) -> None:
        check_copy(self, source)
        assert isinstance(source, BmrtBuffer)
        self._device.copy(source.memory, self.memory)


class BmrtPacked(Packed):
    """Tensors that lie side by side, on the host as on the device."""

    def __init__(self, device: Device, tensors: Sequence[tuple[tuple[int, ...], np.dtype[Any]]]) -> None:
        """Allocates.

        Raises:
            DeviceError: the device has no room for it.
        """
        sizes = [prod(shape) * dtype.itemsize for shape, dtype in tensors]
        starts = [0, *accumulate(-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes)]
        self._whole = BmrtBuffer.zeros(device, (starts[-1],), np.dtype(np.uint8))
        self._host = np.zeros(starts[-1], np.uint8)
        arrays, buffers = [], []
        for start, size, (shape, dtype) in zip(starts, sizes, tensors, strict=False):
            arrays.append(self._host[start : start + size].view(dtype).reshape(shape))
            buffers.append(BmrtBuffer(device, self._whole.memory.part(start, size), shape, dtype))
        self.arrays, self.buffers = tuple(arrays), tuple(buffers)

    def write(self) -> None:
        self._whole.write(self._host)
