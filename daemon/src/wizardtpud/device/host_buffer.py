"""Tensors in the host's own memory, for devices that share it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from wizardtpud.device.checks import check_view, check_write
from wizardtpud.device.runtime import Buffer, Packed
from wizardtpud.errors import DeviceError


class HostBuffer(Buffer):
    """A contiguous numpy array.

    Attributes:
        array: the memory itself; views share it.
    """

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array
        self.shape = array.shape
        self.dtype = array.dtype

    @classmethod
    def zeros(cls, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Self:
        """Allocates.

        Raises:
            DeviceError: the host has no memory for it.
        """
        try:
            return cls(np.zeros(shape, dtype))
        except MemoryError as error:
            raise DeviceError(
                f"out of memory: {prod(shape) * dtype.itemsize} bytes for a tensor {shape}"
            ) from error

    def view(self, shape: tuple[int, ...], offset: int = 0) -> HostBuffer:
        check_view(self, shape, offset)
        return HostBuffer(self.array.reshape(-1)[offset : offset + prod(shape)].reshape(shape))

    def write(self, array: NDArray[Any]) -> None:
        check_write(self, array)
        np.copyto(self.array, array)

    def read(self) -> NDArray[Any]:
        return np.array(self.array)

    def copy_from(self, source: Buffer) -> None:
        self.write(source.read().reshape(self.shape))


class HostPacked(Packed):
    """Tensors whose host arrays are the buffers' own: nothing has to be copied."""

    def __init__(self, tensors: Sequence[tuple[tuple[int, ...], np.dtype[Any]]]) -> None:
        buffers = tuple(HostBuffer.zeros(shape, dtype) for shape, dtype in tensors)
        self.buffers = buffers
        self.arrays = tuple(buffer.array for buffer in buffers)

    def write(self) -> None:
        """Does nothing."""
