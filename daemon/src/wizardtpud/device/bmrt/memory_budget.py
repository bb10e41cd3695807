"""What is left of a device's memory."""

from __future__ import annotations

import os
import re

from wizardtpud.device.bmrt.library import BmrtLibrary
from wizardtpud.device.bmrt.structures import DeviceStat
from wizardtpud.errors import DeviceError

_MB = 1_000_000
_MIB = 2**20
_PAGE = 4096  # bytes, in which memory is given away
_SIMULATED_VARIABLE = "CMODEL_GLOBAL_MEM_SIZE"
_SIMULATED_BYTES = "0x100000000"
"""What the simulator has if that variable does not say; it understands this spelling alone."""
_SIMULATED_RESERVED = 81 * _MIB
"""What the simulator keeps of it for itself, as seen by taking all there is."""


class MemoryBudget:
    """Asked before anything is allocated: to run out of device memory may end the process.

    Args:
        device: its number.
        free: bytes; None if nobody knows, so that nothing is refused.
    """

    def __init__(self, device: int, free: int | None) -> None:
        self._device = device
        self._free = free

    def take(self, size: int, what: str) -> None:
        """Counts `size` bytes as used.

        Raises:
            DeviceError: there are not so many.
        """
        if self._free is None:
            return
        if size > self._free:
            raise DeviceError(
                f"device {self._device} is out of memory: {what} takes {_text(size)} and {_text(self._free)} are "
                "free; use fewer slots, or a bundle with a smaller context or fewer bits, or end what else uses it"
            )
        self._free -= -(-size // _PAGE) * _PAGE


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


def simulated_memory() -> int:
    """Bytes that can be had of the simulator's device.

    Raises:
        DeviceError: the variable that says how many it has is not one that the simulator understands.
    """
    given = os.environ.get(_SIMULATED_VARIABLE) or _SIMULATED_BYTES
    if not re.fullmatch("0x[0-9a-fA-F]+", given):
        raise DeviceError(f"{_SIMULATED_VARIABLE}={given} would end the simulator: it must be like 0x40000000")
    return max(0, int(given, 16) - _SIMULATED_RESERVED)


def _text(size: int) -> str:
    return f"{size / _MB:.1f} MB"
