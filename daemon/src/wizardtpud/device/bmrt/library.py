"""The vendor's shared libraries: libbmlib for devices and memory, libbmrt for networks."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable
from ctypes import POINTER, c_bool, c_char_p, c_int, c_size_t, c_uint, c_uint32, c_void_p
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from typing_extensions import Self

from wizardtpud.device.bmrt.structures import Memory, NetworkInfo, Tensor
from wizardtpud.device.vendor.bmlib import BMLIB, declare_devices, device_count
from wizardtpud.device.vendor.declarations import declare, plain, status
from wizardtpud.device.vendor.floating_point import kept_arithmetic
from wizardtpud.device.vendor.simulator import SIMULATOR_NAME
from wizardtpud.errors import DeviceError

_BMRT = "libbmrt.so"

_MEMORY_FUNCTIONS = {
    "bm_malloc_device_byte": status(c_void_p, POINTER(Memory), c_uint),
    "bm_free_device": plain(None, c_void_p, Memory),
    "bm_memcpy_s2d": status(c_void_p, Memory, c_void_p),
    "bm_memcpy_d2s": status(c_void_p, c_void_p, Memory),
    "bm_memcpy_d2d_byte": status(c_void_p, Memory, c_size_t, Memory, c_size_t, c_size_t),
    "bm_thread_sync": status(c_void_p),
}
"""Of libbmlib."""

_BMRT_FUNCTIONS = {
    "bmrt_create_ex": plain(c_void_p, POINTER(c_void_p), c_int),
    "bmrt_destroy": plain(None, c_void_p),
    "bmrt_set_flags": plain(None, c_void_p, c_uint32),
    "bmrt_load_bmodel": plain(c_bool, c_void_p, c_char_p),
    "bmrt_get_network_number": plain(c_int, c_void_p),
    "bmrt_get_network_name": plain(c_char_p, c_void_p, c_int),
    "bmrt_get_network_info": plain(POINTER(NetworkInfo), c_void_p, c_char_p),
    "bmrt_launch_tensor_ex": plain(
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
            raise DeviceError(f"{directory} is not a directory; it must be the one with {BMLIB} and {_BMRT}")
        with kept_arithmetic():
            bmlib = _load(directory / BMLIB, _declare_bmlib)
            bmrt = _load(directory / _BMRT, partial(declare, functions=_BMRT_FUNCTIONS))
        return cls(directory, (directory / SIMULATOR_NAME).exists(), bmlib, bmrt)

    def device_count(self) -> int:
        """How many devices there are; their numbers are counted from 0."""
        return device_count(self.bmlib)


def _load(path: Path, declare_functions: Callable[[Any], None]) -> ctypes.CDLL:
    if not path.exists():
        raise DeviceError(f"{path.parent} has no {path.name}; it must hold the vendor's runtime libraries")
    try:
        library = ctypes.CDLL(str(path.resolve()))
        declare_functions(library)
    except OSError as error:
        raise DeviceError(
            f"cannot load {path}: {error}; it must be a library for {platform.machine()}, as this machine is"
        ) from error
    except AttributeError as error:
        raise DeviceError(f"{path} is not the vendor's runtime, or is too old: {error}") from error
    return library


def _declare_bmlib(library: Any) -> None:
    declare_devices(library)
    declare(library, _MEMORY_FUNCTIONS)
