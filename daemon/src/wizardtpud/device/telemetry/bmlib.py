"""What libbmlib says of a device."""

from __future__ import annotations

import re
from collections.abc import Callable
from ctypes import c_float, c_int, c_uint, c_void_p
from typing import Any, TypeVar
from weakref import finalize

from wizardtpud.device.telemetry import plausible
from wizardtpud.device.vendor.bmlib import DeviceStat
from wizardtpud.errors import DeviceError
from wizardtpud.observability.device_reading import DeviceReading

_MIB = 2**20
_BUILD = re.compile(r"libbmlib_version:([\w.]+).*\bcommit:([0-9a-f]{12})", re.ASCII)

_TOO_HOT = 4
"""Of the bits of a status the one that spoils nothing: a hot board is slowed down. The others: hung, no link."""

_NO_STAT = DeviceStat(utilization=-1)
"""Nothing in it is plausible."""

Value = TypeVar("Value")


class BmlibReadings:
    """A device as its library sees it; of a closed one, and of what an older library cannot tell, nothing.

    Args:
        device: its number.
        bmlib: the library, declared.
        handle: of the device, open.
        close: what closes it.
    """

    def __init__(self, device: int, bmlib: Any, handle: c_void_p | int | None, close: finalize[..., Any]) -> None:
        self._device = device
        self._bmlib = bmlib
        self._handle = handle
        self._close = close

    def read(self) -> DeviceReading:
        if not self._close.alive:
            return DeviceReading(self._device)
        stat = self._ask("bm_get_stat", DeviceStat) or _NO_STAT
        total, used = plausible.memory(stat.memory_total * _MIB, stat.memory_used * _MIB)
        return DeviceReading(
            self._device,
            "library",
            utilization=plausible.utilization(stat.utilization),
            memory_used=used,
            memory_total=total,
            chip_temperature=self._number("bm_get_chip_temp", c_uint, plausible.temperature),
            board_temperature=self._number("bm_get_board_temp", c_uint, plausible.temperature),
            tpu_power=self._number("bm_get_tpu_power", c_float, plausible.power),
            board_power=self._number("bm_get_board_power", c_uint, plausible.power),
            tpu_clock=self._number("bm_get_clk_tpu_freq", c_int, plausible.clock),
            fault=self._number("bm_get_status", c_int, lambda status: bool(status & ~_TOO_HOT)),
            driver_version=self._number("bm_get_driver_version", c_int, _driver_version),
            library_version=self._library_version(),
        )

    def _number(self, function: str, kind: Any, meaning: Callable[[Any], Value | None]) -> Value | None:
        number = self._ask(function, kind)
        return None if number is None else meaning(number.value)

    def _ask(self, function: str, kind: Any) -> Any:
        """What a function writes where its second argument points; None if it is not there, or fails."""
        ask, answer = getattr(self._bmlib, function, None), kind()
        if ask is None:
            return None
        try:
            ask(self._handle, answer)
        except DeviceError:
            return None
        return answer

    def _library_version(self) -> str | None:
        tell = getattr(self._bmlib, "libbmlib_version", None)
        match = _BUILD.match((tell() or b"").decode("ascii", errors="replace")) if tell else None
        return f"libbmlib {match[1]} ({match[2]})" if match else None


def _driver_version(packed: int) -> str | None:
    """Three numbers in one, as the driver's BM_DRIVER_VERSION has them."""
    return f"{packed >> 16}.{packed >> 8 & 0xFF}.{packed & 0xFF}" if packed > 0 else None
