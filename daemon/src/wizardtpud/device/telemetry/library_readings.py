"""What a vendor's library says of a device."""

from __future__ import annotations

from typing import Protocol

from wizardtpud.observability.device_reading import DeviceReading


class LibraryReadings(Protocol):
    """One open device, seen through the library that drives it."""

    def read(self) -> DeviceReading:
        """What the library says now, nothing where it fails. Only the thread that owns the device may ask."""
        ...
