"""What is known of one device at a moment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Source = Literal["pcie", "soc", "library"]


@dataclass(frozen=True)
class DeviceReading:
    """What a device and its driver say. What they do not say is None, never 0.

    Attributes:
        device: its number, as the driver counts.
        source: what is asked first: the driver's files for a PCIe card or those for a SoC, or, where there are
            neither, the vendor's library.
        utilization: share of its time in which the TPU worked lately, 0 to 1.
        memory_used: bytes; known together with memory_total.
        memory_total: bytes.
        chip_temperature: degrees Celsius.
        board_temperature: degrees Celsius, alike for all chips of a board.
        tpu_power: watts.
        board_power: watts, of all chips of the board.
        tpu_clock: hertz.
        fault: whether the device is not to be trusted any more: its TPU hangs, it is too hot, or its link is bad.
        driver_version: such as "0.5.1".
        library_version: name, version and build of what drives it.
    """

    device: int
    source: Source | None = None
    utilization: float | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    chip_temperature: float | None = None
    board_temperature: float | None = None
    tpu_power: float | None = None
    board_power: float | None = None
    tpu_clock: float | None = None
    fault: bool | None = None
    driver_version: str | None = None
    library_version: str | None = None

    def completed_by(self, other: DeviceReading) -> DeviceReading:
        """What both know, this one first; but a fault is one whichever of them tells of it."""
        known = {name: value for name, value in vars(self).items() if value is not None}
        return replace(other, **known | ({"fault": True} if other.fault else {}))
