"""What the driver says of a device on a PCIe card."""

from __future__ import annotations

from pathlib import Path

from typing_extensions import Self

from wizardtpud.device.telemetry import formats
from wizardtpud.device.telemetry.kernel_file import read_kernel_file
from wizardtpud.observability.device_reading import DeviceReading


class PcieFiles:
    """The files of one chip, those of the card it is on, and those of the driver. None tells of its memory.

    Args:
        chip: its directory, /proc/bmsophon/cardN/bmsophonX.
        usage: how busy it is, /sys/class/bm-sophon/bm-sophonX/device/npu_usage.
    """

    def __init__(self, device: int, chip: Path, usage: Path) -> None:
        self._device = device
        self._chip = chip
        self._card = chip.parent
        self._driver_version = chip.parent.parent / "driver_version"
        self._usage = usage

    @classmethod
    def find(cls, device: int, root: Path) -> Self | None:
        """Those of a device, on whichever card it is; None if it is on none."""
        chip = next(root.glob(f"proc/bmsophon/card*/bmsophon{device}"), None)
        usage = root / f"sys/class/bm-sophon/bm-sophon{device}/device/npu_usage"
        return None if chip is None else cls(device, chip, usage)

    def read(self) -> DeviceReading:
        return DeviceReading(
            self._device,
            "pcie",
            utilization=formats.utilization(read_kernel_file(self._usage)),
            chip_temperature=formats.temperature(read_kernel_file(self._chip / "chip_temp")),
            board_temperature=formats.temperature(read_kernel_file(self._card / "board_temp")),
            tpu_power=formats.power(read_kernel_file(self._chip / "tpu_power")),
            board_power=formats.power(read_kernel_file(self._card / "board_power")),
            tpu_clock=formats.clock(read_kernel_file(self._chip / "tpu_freq")),
            fault=self.fault(),
            driver_version=formats.driver_version(read_kernel_file(self._driver_version)),
        )

    def fault(self) -> bool | None:
        return formats.fault(read_kernel_file(self._chip / "status"))
