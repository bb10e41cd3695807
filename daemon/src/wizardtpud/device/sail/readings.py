"""What sail says of a device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wizardtpud.device.sail.library import SailLibrary
from wizardtpud.device.telemetry import DeviceReading, Telemetry, plausible
from wizardtpud.device.telemetry.file_readings import find_files
from wizardtpud.device.vendor.simulator import simulated_memory

_MIB = 2**20
_ROOT = Path("/")


class SailReadings:
    """A device as sail sees it: it knows no power, and the temperatures of PCIe cards alone.

    Args:
        device: its number, of a device that is there.
        library: what to ask.
    """

    def __init__(self, device: int, library: SailLibrary) -> None:
        self._device = device
        self._library = library

    def read(self) -> DeviceReading:
        total, used, utilization = self._ask("get_dev_stat") or (-1, -1, -1)
        memory_total, memory_used = plausible.memory(total * _MIB, used * _MIB)
        version = self._library.version
        return DeviceReading(
            self._device,
            "library",
            utilization=plausible.utilization(utilization),
            memory_used=memory_used,
            memory_total=memory_total,
            chip_temperature=self._temperature("get_chip_temp"),
            board_temperature=self._temperature("get_board_temp"),
            library_version=version and f"sophon-sail {version}",
        )

    def _temperature(self, function: str) -> float | None:
        celsius = self._ask(function)
        return None if celsius is None else plausible.temperature(celsius)

    def _ask(self, function: str) -> Any:
        """What a function answers; None if it fails."""
        try:
            return getattr(self._library.sail, function)(self._device)
        except self._library.errors:
            return None


def telemetry_of(devices: Sequence[int], library: SailLibrary, root: Path = _ROOT) -> tuple[Telemetry, ...]:
    """The telemetry of devices, which are simulated where no driver knows them.

    Args:
        devices: their numbers.
        library: what drives them.
        root: of the file system with `proc` and `sys`.
    """
    files = {device: find_files(device, root) for device in devices}
    return tuple(
        Telemetry(device, found, None if found is None else SailReadings(device, library))
        for device, found in files.items()
    )


def free_memory(device: int, library: SailLibrary, root: Path = _ROOT) -> int | None:
    """Bytes of a device that are free; None if nobody tells."""
    if find_files(device, root) is None:
        return simulated_memory()
    reading = SailReadings(device, library).read()
    if reading.memory_total is None or reading.memory_used is None:
        return None
    return reading.memory_total - reading.memory_used
