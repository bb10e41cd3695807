"""How much of a device's memory is free."""

from __future__ import annotations

from wizardtpud.device.telemetry.library_readings import LibraryReadings
from wizardtpud.device.vendor.simulator import simulated_memory


def free_memory(readings: LibraryReadings | None) -> int | None:
    """Bytes of an open device that are free; None if nobody tells.

    Args:
        readings: of its library; none for a device that is simulated.

    Raises:
        DeviceError: the simulator was told to have an amount that it does not understand.
    """
    if readings is None:
        return simulated_memory()
    reading = readings.read()
    if reading.memory_total is None or reading.memory_used is None:
        return None
    return reading.memory_total - reading.memory_used
