"""What open devices say of themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import finalize

from wizardtpud.device.bmrt.library import BmrtLibrary
from wizardtpud.device.telemetry import LibraryReadings
from wizardtpud.device.telemetry.bmlib import BmlibReadings


def readings_of(
    devices: Sequence[int], library: BmrtLibrary, handles: Any, close: finalize[..., Any]
) -> dict[int, LibraryReadings]:
    """The readings of devices that were opened together, by their numbers; none if they are simulated.

    Args:
        devices: their numbers.
        library: what drives them.
        handles: of the devices, in the same order.
        close: what closes them.
    """
    if library.simulated:
        return {}
    return {
        device: BmlibReadings(device, library.bmlib, handle, close)
        for device, handle in zip(devices, handles, strict=True)
    }
