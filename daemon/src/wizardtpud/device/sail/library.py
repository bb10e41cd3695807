"""The module `sophon.sail`: whether it is there, new enough, and what it raises."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import packages_distributions
from importlib.metadata import version as version_of_package
from typing import Any

from typing_extensions import Self

from wizardtpud.device.vendor.bmlib import BMLIB, declare_devices, device_count
from wizardtpud.device.vendor.floating_point import kept_arithmetic
from wizardtpud.errors import DeviceError

_OLDEST = (3, 9, 1)  # 3.9.0 ends the process on many errors
_CURE = "install sophon-sail >= 3.9.1 of the vendor's SDK in this Python's environment"
_VERSION = re.compile(r"\d+(\.\d+)+")

_ERRORS = (
    "SailDeviceError",
    "SailTensorError",
    "SailEngineError",
    "SailUnknownError",
    "MemoryError",
    "DataTypeError",
    "NotSupport",
)
"""Exceptions of the module's own; they have no base in common."""


@dataclass(frozen=True)
class SailLibrary:
    """The imported module.

    Attributes:
        sail: the module itself.
        version: such as "3.10.7"; None if it cannot be told.
        bmlib: the libbmlib that it has brought into the process, declared; None if that cannot be found.
        device_count: how many devices there are; they are counted from 0.
        errors: what its functions raise.
    """

    sail: Any
    version: str | None
    bmlib: Any
    device_count: int
    errors: tuple[type[Exception], ...]

    @classmethod
    def load(cls) -> Self:
        """Imports it.

        Raises:
            DeviceError: it is not installed, cannot be loaded, or is too old.
        """
        with kept_arithmetic():
            sail = _import()
        version = _version_of(sail)
        _check_version(version)
        own = (getattr(sail, name) for name in _ERRORS)
        # A lack of device memory is a RuntimeError, an unknown network or stage an IndexError.
        bmlib = find_bmlib()
        return cls(sail, version, bmlib, _count_devices(bmlib), (*own, RuntimeError, IndexError))

    @contextmanager
    def translated(self, action: str) -> Iterator[None]:
        """Turns what it raises into a DeviceError that says what could not be done."""
        try:
            yield
        except self.errors as error:
            raise DeviceError(f"{action}: {error}") from error


def find_bmlib() -> Any:
    """The libbmlib of this process, declared; None if it has none of that name, or another one."""
    try:
        bmlib = ctypes.CDLL(BMLIB, mode=os.RTLD_NOLOAD)
        declare_devices(bmlib)
    except (OSError, AttributeError):
        return None
    return bmlib


def _count_devices(bmlib: Any) -> int:
    """Sail itself ends the process if it is asked for a device that is not there."""
    if bmlib is None:
        return 1  # a machine for sail has a first device; of more nothing is known
    try:
        return device_count(bmlib)
    except DeviceError:
        return 0


def _import() -> Any:
    try:
        return import_module("sophon.sail")
    except ImportError as error:
        raise DeviceError(f"cannot import sophon.sail: {error}; {_CURE}") from error


def _check_version(found: str | None) -> None:
    if found is not None and tuple(map(int, found.split("."))) < _OLDEST:
        raise DeviceError(f"sophon-sail {found} is too old; {_CURE}")


def _version_of(sail: Any) -> str | None:
    """What the module says, or else the package that it came with: builds may tell their date in its place."""
    match = _VERSION.match(sail.__version__)
    if match is None:
        names = packages_distributions().get("sophon", [])
        match = next(filter(None, (_VERSION.match(version_of_package(name)) for name in names)), None)
    return match and match[0]
