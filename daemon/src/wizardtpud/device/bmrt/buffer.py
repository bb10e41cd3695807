"""Tensors in device memory."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from wizardtpud.device.bmrt.device import Device
from wizardtpud.device.bmrt.structures import Memory
from wizardtpud.device.runtime import Buffer
from wizardtpud.errors import DeviceError


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
        end = offset + prod(shape)
        if offset < 0 or end > self.size:
            raise DeviceError(f"a view of elements {offset} to {end} is outside a buffer of {self.size}")
        part = self.memory.part(offset * self.dtype.itemsize, prod(shape) * self.dtype.itemsize)
        return BmrtBuffer(self._device, part, shape, self.dtype)

    def write(self, array: NDArray[Any]) -> None:
        if array.shape != self.shape or array.dtype != self.dtype:
            raise DeviceError(f"cannot write {array.dtype}{array.shape} to a buffer of {self.dtype}{self.shape}")
        contiguous = np.ascontiguousarray(array)
        self._device.write(self.memory, contiguous.ctypes.data)

    def read(self) -> NDArray[Any]:
        array = np.empty(self.shape, self.dtype)
        self._device.read(self.memory, array.ctypes.data)
        return array
