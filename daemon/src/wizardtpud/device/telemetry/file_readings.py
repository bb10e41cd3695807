"""What the driver's files say of a device, on either kind of machine."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from wizardtpud.device.telemetry.pcie_files import PcieFiles
from wizardtpud.device.telemetry.soc_files import SocFiles
from wizardtpud.observability.device_reading import DeviceReading


class FileReadings(Protocol):
    """The files of one device. Any thread may read them, also while another uses the device."""

    def read(self) -> DeviceReading:
        """What they say now. It may take milliseconds: some sensors are behind a slow bus."""
        ...

    def fault(self) -> bool | None:
        """Of `read` the fault alone, at once."""
        ...


def find_files(device: int, root: Path = Path("/")) -> FileReadings | None:
    """The files of a device; None where no driver knows it.

    Args:
        device: its number.
        root: of the file system with `proc` and `sys`.
    """
    return PcieFiles.find(device, root) or SocFiles.find(device, root)
