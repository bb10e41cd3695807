"""The structures of the vendor's C interface, laid out as in bmlib_runtime.h and bmdef.h."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure

from typing_extensions import Self

_MAX_DIMS = 8


class Memory(Structure):
    """bm_device_mem_t: a piece of device memory, passed by value. Sizes are in bytes."""

    address: int
    size: int
    _fields_ = (
        ("address", ctypes.c_ulong),
        ("reserved", ctypes.c_uint),
        ("dmabuf_fd", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("size", ctypes.c_uint),
    )

    def part(self, offset: int, size: int) -> Memory:
        """The `size` bytes from `offset` on."""
        part = Memory.from_buffer_copy(self)
        part.address += offset
        part.size = size
        return part


class Shape(Structure):
    """bm_shape_t."""

    _fields_ = (("count", ctypes.c_int), ("dims", ctypes.c_int * _MAX_DIMS))

    @classmethod
    def of(cls, sizes: tuple[int, ...]) -> Self:
        return cls(len(sizes), (ctypes.c_int * _MAX_DIMS)(*sizes))

    def sizes(self) -> tuple[int, ...]:
        return tuple(self.dims[: self.count])


class Tensor(Structure):
    """bm_tensor_t: what a launch reads or writes. `storage` 0 is without gaps between elements."""

    memory: Memory
    _fields_ = (
        ("dtype", ctypes.c_int),
        ("shape", Shape),
        ("memory", Memory),
        ("storage", ctypes.c_int),
    )


class Stage(Structure):
    """bm_stage_info_t: one of the static shapes that a network was compiled for."""

    _fields_ = (
        ("input_shapes", POINTER(Shape)),
        ("output_shapes", POINTER(Shape)),
        ("input_memories", POINTER(Memory)),
        ("output_memories", POINTER(Memory)),
    )


class NetworkInfo(Structure):
    """bm_net_info_t, up to what is read of it here: it is only ever seen through a pointer."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("is_dynamic", ctypes.c_bool),
        ("input_count", ctypes.c_int),
        ("input_names", POINTER(ctypes.c_char_p)),
        ("input_dtypes", POINTER(ctypes.c_int)),
        ("input_scales", POINTER(ctypes.c_float)),
        ("output_count", ctypes.c_int),
        ("output_names", POINTER(ctypes.c_char_p)),
        ("output_dtypes", POINTER(ctypes.c_int)),
        ("output_scales", POINTER(ctypes.c_float)),
        ("stage_count", ctypes.c_int),
        ("stages", POINTER(Stage)),
        ("most_input_bytes", POINTER(ctypes.c_size_t)),
        ("most_output_bytes", POINTER(ctypes.c_size_t)),
        ("input_zero_points", POINTER(ctypes.c_int)),
        ("output_zero_points", POINTER(ctypes.c_int)),
        ("input_places", POINTER(ctypes.c_int)),
        ("output_places", POINTER(ctypes.c_int)),
    )
