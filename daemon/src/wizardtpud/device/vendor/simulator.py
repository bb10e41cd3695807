"""The vendor's simulator, which stands below libbmlib where there is no chip."""

from __future__ import annotations

import ctypes
import os
import re

from wizardtpud.errors import DeviceError

SIMULATOR_NAME = "libcmodel.so"
"""The library that the simulator is: libbmlib loads it when it opens a device."""

_MIB = 2**20
_VARIABLE = "CMODEL_GLOBAL_MEM_SIZE"
_BYTES = "0x100000000"
"""What the simulator has if that variable does not say; it understands this spelling alone."""
_RESERVED = 81 * _MIB
"""What the simulator keeps of it for itself, as seen by taking all there is."""


def simulates() -> bool:
    """Whether the devices that this process has opened are simulated."""
    try:
        ctypes.CDLL(SIMULATOR_NAME, mode=os.RTLD_NOLOAD)
    except OSError:
        return False
    return True


def simulated_memory() -> int:
    """Bytes that can be had of the simulator's device.

    Raises:
        DeviceError: the variable that says how many it has is not one that the simulator understands.
    """
    given = os.environ.get(_VARIABLE) or _BYTES
    if not re.fullmatch("0x[0-9a-fA-F]+", given):
        raise DeviceError(f"{_VARIABLE}={given} would end the simulator: it must be like 0x40000000")
    return max(0, int(given, 16) - _RESERVED)
