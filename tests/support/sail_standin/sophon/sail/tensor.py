"""Tensors in device memory."""

from __future__ import annotations

from math import prod
from typing import Any
from weakref import finalize

import numpy as np
from numpy.typing import NDArray
from wizardtpud.device.bmrt.structures import Memory
from wizardtpud.errors import DeviceError

from .crash import Crash
from .dtype import Dtype
from .errors import SailTensorError
from .handle import Handle
from .simulator import LIBRARY

BMLIB = LIBRARY.bmlib


class Tensor:
    """`Tensor(handle, shape, dtype, False, True)` has zeroed memory, `Tensor(src, shape, offset)` another one's.

    What has memory of its own frees it when nothing refers to it, whatever views there are.
    """

    def __init__(
        self,
        origin: Handle | Tensor,
        shape: list[int],
        third: Dtype | int,
        own_sys_data: bool = False,
        own_dev_data: bool = False,
    ) -> None:
        if not isinstance(shape, list) or not shape or any(type(size) is not int or size <= 0 for size in shape):
            raise SailTensorError("invalid shape")
        self.shape = shape
        if isinstance(origin, Handle) and isinstance(third, Dtype):
            assert (own_sys_data, own_dev_data) == (False, True), "the stand-in knows device memory alone"
            self._allocate(origin, third)
        elif isinstance(origin, Tensor) and isinstance(third, int):
            self._share(origin, third)
        else:
            raise TypeError("incompatible constructor arguments")

    @property
    def memory(self) -> Memory:
        if not self._owned.alive:
            raise Crash("this memory was freed with the tensor that had it")
        return self._memory

    def update_data(self, array: NDArray[Any]) -> None:
        if list(array.shape) != self.shape:
            raise SailTensorError("invalid argument")
        if array.dtype != self._dtype.carrier:
            raise SailTensorError("Wrong dtype of input array!")
        self._write(array)

    def asnumpy(self) -> NDArray[Any]:
        array: NDArray[Any] = np.empty(self.shape, self._dtype.carrier)
        BMLIB.bm_memcpy_d2s(self._handle.pointer, array.ctypes.data, self.memory)
        return array

    def sync_d2d(self, src: Tensor, offset_src: int, offset_dst: int, length: int) -> None:
        if src._dtype is not self._dtype:
            raise SailTensorError("mismatch Tensor")
        if offset_src + length > prod(src.shape) or offset_dst + length > prod(self.shape):
            raise SailTensorError("size out of range")
        starts = [offset * self._itemsize for offset in (offset_dst, offset_src)]
        BMLIB.bm_memcpy_d2d_byte(
            self._handle.pointer, self.memory, starts[0], src.memory, starts[1], length * self._itemsize
        )

    @property
    def _itemsize(self) -> int:
        return np.dtype(self._dtype.carrier).itemsize

    def _allocate(self, handle: Handle, dtype: Dtype) -> None:
        self._handle, self._dtype = handle, dtype
        self._memory = Memory()
        try:
            BMLIB.bm_malloc_device_byte(handle.pointer, self._memory, prod(self.shape) * self._itemsize)
        except DeviceError as error:
            raise RuntimeError("no enough device memory") from error
        self._owned = finalize(self, _free, handle, self._memory)
        self._owned.atexit = False
        self._write(np.zeros(self.shape, dtype.carrier))

    def _share(self, src: Tensor, offset: int) -> None:
        start, size = offset * src._itemsize, prod(self.shape) * src._itemsize
        if offset < 0 or start + size > src.memory.size:
            raise SailTensorError("size out of range")
        self._handle, self._dtype, self._owned = src._handle, src._dtype, src._owned
        self._memory = src.memory.part(start, size)

    def _write(self, array: NDArray[Any]) -> None:
        contiguous = np.ascontiguousarray(array)
        BMLIB.bm_memcpy_s2d(self._handle.pointer, self.memory, contiguous.ctypes.data)


def _free(handle: Handle, memory: Memory) -> None:
    BMLIB.bm_free_device(handle.pointer, memory)
