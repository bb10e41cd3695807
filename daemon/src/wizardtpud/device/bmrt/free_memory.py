"""How much of a device's memory is free."""

from __future__ import annotations

from wizardtpud.device.bmrt.library import BmrtLibrary
from wizardtpud.device.vendor.bmlib import DeviceStat
from wizardtpud.device.vendor.simulator import simulated_memory
from wizardtpud.errors import DeviceError

_MIB = 2**20


def free_memory(library: BmrtLibrary, handle: int) -> int | None:
    """Bytes of an open device that are free; None if the library does not tell."""
    if library.simulated:
        return simulated_memory()
    stat = DeviceStat()
    try:
        library.bmlib.bm_get_stat(handle, stat)
    except (AttributeError, DeviceError):  # an older library has no such function
        return None
    free = (stat.memory_total - stat.memory_used) * _MIB
    return free if stat.memory_total > 0 else None
