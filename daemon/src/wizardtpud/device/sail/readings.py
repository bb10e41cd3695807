"""What sail says of a device."""

from __future__ import annotations

from typing import Any

from wizardtpud.device.sail.library import SailLibrary
from wizardtpud.device.telemetry import DeviceReading, plausible

_MIB = 2**20


class SailReadings:
    """A device as sail sees it: it knows no faults and no power, and the temperatures of PCIe cards alone.

    For where its libbmlib cannot be asked itself.

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
