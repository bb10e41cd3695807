"""What open devices say of themselves."""

from __future__ import annotations

from collections.abc import Sequence

from wizardtpud.device.bmrt.device import Device
from wizardtpud.device.telemetry import LibraryReadings
from wizardtpud.device.telemetry.bmlib import BmlibReadings


def readings_of(devices: Sequence[int], opened: Device) -> dict[int, LibraryReadings]:
    """The readings of devices that were opened together, by their numbers; none if they are simulated.

    Args:
        devices: their numbers.
        opened: the devices, in the same order.
    """
    if opened.library.simulated:
        return {}
    return {
        device: BmlibReadings(device, opened.library.bmlib, handle, opened.close)
        for device, handle in zip(devices, opened.handles, strict=True)
    }
