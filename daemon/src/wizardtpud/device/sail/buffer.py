"""Tensors in device memory."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from wizardtpud.device.checks import check_copy, check_view, check_write
from wizardtpud.device.runtime import Buffer, Packed
from wizardtpud.device.sail.device import SailDevice
from wizardtpud.device.sail.dtypes import carrier_of, sail_of_dtype
from wizardtpud.errors import DeviceError

_LARGEST = 2**31 - 1  # sail counts bytes in an int


class SailBuffer(Buffer):
    """A tensor of sail; views share its memory, and keep it."""

    def __init__(
        self,
        device: SailDevice,
        tensor: Any,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        source: SailBuffer | None = None,
    ) -> None:
        self._tensor: Any = tensor
        self._source = source  # for a tensor of sail does not keep the one it is a view of
        self._device = device
        self._carrier = carrier_of(dtype)
        self.shape = shape
        self.dtype = dtype
        device.hold(self)

    @classmethod
    def zeros(cls, device: SailDevice, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Self:
        """Allocates.

        Raises:
            DeviceError: the device has no room for it.
        """
        size = prod(shape) * dtype.itemsize
        if not 0 < size <= _LARGEST:
            raise DeviceError(f"cannot allocate {size} bytes: one tensor takes 1 to {_LARGEST} bytes")
        device.memory.take(size, "a tensor")
        sail = device.library.sail
        with device.library.translated(f"cannot allocate {size} bytes of device memory"):
            # Without host memory of its own, with device memory.
            tensor = sail.Tensor(device.handle, list(shape), sail_of_dtype(sail, dtype), False, True)
        return cls(device, tensor, shape, dtype)

    @property
    def tensor(self) -> Any:
        """The tensor of sail, good as long as this buffer is referred to.

        Raises:
            DeviceError: the device is closed.
        """
        if self._tensor is None:
            raise DeviceError("the device is closed")
        return self._tensor

    def release(self) -> None:
        self._tensor = None

    def view(self, shape: tuple[int, ...], offset: int = 0) -> SailBuffer:
        check_view(self, shape, offset)
        with self._device.library.translated("cannot make a view"):
            part = self._device.library.sail.Tensor(self.tensor, list(shape), offset)
        return SailBuffer(self._device, part, shape, self.dtype, self)

    def write(self, array: NDArray[Any]) -> None:
        check_write(self, array)
        with self._device.library.translated("cannot write to device memory"):
            self.tensor.update_data(np.ascontiguousarray(array).view(self._carrier))

    def read(self) -> NDArray[Any]:
        with self._device.library.translated("cannot read device memory"):
            array: NDArray[Any] = self.tensor.asnumpy()
        return array.view(self.dtype)

    def copy_from(self, source: Buffer) -> None:
        check_copy(self, source)
        assert isinstance(source, SailBuffer)
        with self._device.library.translated("cannot copy device memory"):
            self.tensor.sync_d2d(source.tensor, 0, 0, self.size)


class SailPacked(Packed):
    """Tensors that are written one by one: memory of sail has one element type."""

    def __init__(self, device: SailDevice, tensors: Sequence[tuple[tuple[int, ...], np.dtype[Any]]]) -> None:
        """Allocates.

        Raises:
            DeviceError: the device has no room for it.
        """
        self.arrays = tuple(np.zeros(shape, dtype) for shape, dtype in tensors)
        self.buffers = tuple(SailBuffer.zeros(device, shape, dtype) for shape, dtype in tensors)

    def write(self) -> None:
        for array, buffer in zip(self.arrays, self.buffers, strict=True):
            buffer.write(array)
