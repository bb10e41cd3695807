"""What is used of libbmlib by everything that goes through it: devices, and what they say of themselves."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_float, c_int, c_uint, c_void_p
from typing import Any

from wizardtpud.device.vendor.declarations import declare, plain, status

BMLIB = "libbmlib.so.0"


class _HeapStat(ctypes.Structure):
    """struct bm_heap_stat, in MiB."""

    _fields_ = (("total", c_uint), ("available", c_uint), ("used", c_uint))


class DeviceStat(ctypes.Structure):
    """bm_dev_stat_t: memory in MiB, utilization in percent."""

    memory_total: int
    memory_used: int
    utilization: int
    _fields_ = (
        ("memory_total", c_int),
        ("memory_used", c_int),
        ("utilization", c_int),
        ("heap_count", c_int),
        ("heaps", _HeapStat * 4),
    )


_DEVICE_FUNCTIONS = {
    "bm_dev_getcount": status(POINTER(c_int)),
    "bm_dev_request": status(POINTER(c_void_p), c_int),
    "bm_dev_free": plain(None, c_void_p),
}
_TELEMETRY_FUNCTIONS = {
    "bm_get_stat": status(c_void_p, POINTER(DeviceStat)),
    "bm_get_chip_temp": status(c_void_p, POINTER(c_uint)),
    "bm_get_board_temp": status(c_void_p, POINTER(c_uint)),
    "bm_get_tpu_power": status(c_void_p, POINTER(c_float)),
    "bm_get_board_power": status(c_void_p, POINTER(c_uint)),
    "bm_get_clk_tpu_freq": status(c_void_p, POINTER(c_int)),
    "bm_get_status": status(c_void_p, POINTER(c_int)),
    "bm_get_driver_version": status(c_void_p, POINTER(c_int)),
    "libbmlib_version": plain(c_char_p),
}
"""An older library may lack some of them."""


def declare_devices(bmlib: Any) -> None:
    """Declares the functions that count, open and close devices, and those that tell about one.

    Raises:
        AttributeError: it lacks one of the former, so this is not the vendor's library.
    """
    declare(bmlib, _DEVICE_FUNCTIONS)
    declare_telemetry(bmlib)


def declare_telemetry(bmlib: Any) -> None:
    """Declares those of the functions which tell about a device that this library has."""
    declare(bmlib, {name: how for name, how in _TELEMETRY_FUNCTIONS.items() if hasattr(bmlib, name)})


def device_count(bmlib: Any) -> int:
    """How many devices there are; their numbers are counted from 0.

    Raises:
        DeviceError: the library cannot tell.
    """
    count = c_int()
    bmlib.bm_dev_getcount(count)
    return count.value
