"""The vendor's shared libraries: libbmlib for devices and memory, libbmrt for networks."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Mapping
from ctypes import POINTER, c_bool, c_char_p, c_float, c_int, c_size_t, c_uint, c_uint32, c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import Self

from wizardtpud.device.bmrt.floating_point import kept_arithmetic
from wizardtpud.device.bmrt.structures import DeviceStat, Memory, NetworkInfo, Tensor
from wizardtpud.errors import DeviceError

_BMLIB, _BMRT = "libbmlib.so.0", "libbmrt.so"

SIMULATOR_NAME = "libcmodel.so"
"""The library that is there where the device is the simulator."""

_STATUSES = (
    "success",
    "the device is not ready",
    "it failed",
    "it timed out",
    "a wrong parameter",
    "out of memory",
    "a data error",
    "the device is busy",
    "not supported",
    "not supported",
)
"""What the values of bm_status_t mean."""


def _check(status: int, function: Any, _: tuple[Any, ...]) -> int:
    """Turns the status of a call into an error; ctypes calls this after every function that gives one."""
    if status == 0:
        return status
    meaning = _STATUSES[status] if 0 < status < len(_STATUSES) else f"status {status}"
    raise DeviceError(f"{function.__name__}: {meaning}")


@dataclass(frozen=True)
class _Declaration:
    arguments: tuple[Any, ...]
    result: Any = c_int
    checked: bool = True


def _plain(result: Any, *arguments: Any) -> _Declaration:
    return _Declaration(arguments, result, checked=False)


def _status(*arguments: Any) -> _Declaration:
    return _Declaration(arguments)


_BMLIB_FUNCTIONS = {
    "bm_dev_getcount": _status(POINTER(c_int)),
    "bm_dev_request": _status(POINTER(c_void_p), c_int),
    "bm_dev_free": _plain(None, c_void_p),
    "bm_malloc_device_byte": _status(c_void_p, POINTER(Memory), c_uint),
    "bm_free_device": _plain(None, c_void_p, Memory),
    "bm_memcpy_s2d": _status(c_void_p, Memory, c_void_p),
    "bm_memcpy_d2s": _status(c_void_p, c_void_p, Memory),
    "bm_memcpy_d2d_byte": _status(c_void_p, Memory, c_size_t, Memory, c_size_t, c_size_t),
    "bm_thread_sync": _status(c_void_p),
}
_TELEMETRY_FUNCTIONS = {
    "bm_get_stat": _status(c_void_p, POINTER(DeviceStat)),
    "bm_get_chip_temp": _status(c_void_p, POINTER(c_uint)),
    "bm_get_board_temp": _status(c_void_p, POINTER(c_uint)),
    "bm_get_tpu_power": _status(c_void_p, POINTER(c_float)),
    "bm_get_board_power": _status(c_void_p, POINTER(c_uint)),
    "bm_get_clk_tpu_freq": _status(c_void_p, POINTER(c_int)),
    "bm_get_status": _status(c_void_p, POINTER(c_int)),
    "bm_get_driver_version": _status(c_void_p, POINTER(c_int)),
    "libbmlib_version": _plain(c_char_p),
}
"""Also of libbmlib, but an older one may lack some of them."""

_BMRT_FUNCTIONS = {
    "bmrt_create_ex": _plain(c_void_p, POINTER(c_void_p), c_int),
    "bmrt_destroy": _plain(None, c_void_p),
    "bmrt_set_flags": _plain(None, c_void_p, c_uint32),
    "bmrt_load_bmodel": _plain(c_bool, c_void_p, c_char_p),
    "bmrt_get_network_number": _plain(c_int, c_void_p),
    "bmrt_get_network_name": _plain(c_char_p, c_void_p, c_int),
    "bmrt_get_network_info": _plain(POINTER(NetworkInfo), c_void_p, c_char_p),
    "bmrt_launch_tensor_ex": _plain(
        c_bool, c_void_p, c_char_p, POINTER(Tensor), c_int, POINTER(Tensor), c_int, c_bool, c_bool
    ),
}


@dataclass(frozen=True)
class BmrtLibrary:
    """The loaded libraries, with the functions used here declared.

    A function of theirs that gives a status raises DeviceError instead of giving one that is no success.

    Attributes:
        simulated: whether the device is the functional simulator that comes with the vendor's compiler.
    """

    directory: Path
    simulated: bool
    bmlib: Any
    bmrt: Any

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Loads the libraries of a directory; no environment variable is needed.

        Raises:
            DeviceError: there is no such directory, or a library is missing or cannot be loaded.
        """
        if not directory.is_dir():
            raise DeviceError(f"{directory} is not a directory; it must be the one with {_BMLIB} and {_BMRT}")
        with kept_arithmetic():
            bmlib = _load(directory / _BMLIB, _BMLIB_FUNCTIONS)
            declare_telemetry(bmlib)
            bmrt = _load(directory / _BMRT, _BMRT_FUNCTIONS)
        return cls(directory, (directory / SIMULATOR_NAME).exists(), bmlib, bmrt)

    def device_count(self) -> int:
        """How many devices there are; their numbers are counted from 0."""
        count = c_int()
        self.bmlib.bm_dev_getcount(count)
        return count.value


def _load(path: Path, functions: Mapping[str, _Declaration]) -> ctypes.CDLL:
    if not path.exists():
        raise DeviceError(f"{path.parent} has no {path.name}; it must hold the vendor's runtime libraries")
    try:
        library = ctypes.CDLL(str(path.resolve()))
        for name, declaration in functions.items():
            _declare(library, name, declaration)
    except OSError as error:
        raise DeviceError(
            f"cannot load {path}: {error}; it must be a library for {platform.machine()}, as this machine is"
        ) from error
    except AttributeError as error:
        raise DeviceError(f"{path} is not the vendor's runtime, or is too old: {error}") from error
    return library


def declare_telemetry(bmlib: Any) -> None:
    """Declares those of the functions which tell about a device that this library has."""
    for name, declaration in _TELEMETRY_FUNCTIONS.items():
        if hasattr(bmlib, name):
            _declare(bmlib, name, declaration)


def _declare(library: Any, name: str, declaration: _Declaration) -> None:
    function = getattr(library, name)
    function.argtypes, function.restype = declaration.arguments, declaration.result
    if declaration.checked:
        function.errcheck = _check
