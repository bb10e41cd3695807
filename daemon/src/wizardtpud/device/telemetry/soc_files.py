"""What the kernel of a SoC says of its own TPU."""

from __future__ import annotations

from pathlib import Path

from typing_extensions import Self

from wizardtpud.device.telemetry import formats, plausible
from wizardtpud.device.telemetry.kernel_file import read_kernel_file
from wizardtpud.observability.device_reading import DeviceReading

_HEAPS = ("npu", "vpu", "vpp")


class SocFiles:
    """The files of the TPU, of the board's sensors, and of the memory, which only root may read.

    Args:
        root: of the file system with `sys`.
    """

    def __init__(self, device: int, root: Path) -> None:
        self._device = device
        self._usage = root / f"sys/class/bm-tpu/bm-tpu{device}/device/npu_usage"
        self._zones = [root / f"sys/class/thermal/thermal_zone{zone}/temp" for zone in range(2)]
        self._heaps = [root / f"sys/kernel/debug/ion/bm_{name}_heap_dump/summary" for name in _HEAPS]

    @classmethod
    def find(cls, device: int, root: Path) -> Self | None:
        """Those of a device; None if this machine is no SoC with such a device."""
        return cls(device, root) if any(root.glob(f"sys/class/bm-tpu/bm-tpu{device}")) else None

    def read(self) -> DeviceReading:
        chip, board = (formats.thermal_zone(read_kernel_file(zone)) for zone in self._zones)
        total, used = self._memory()
        return DeviceReading(
            self._device,
            "soc",
            utilization=formats.utilization(read_kernel_file(self._usage)),
            memory_used=used,
            memory_total=total,
            chip_temperature=chip,
            board_temperature=board,
        )

    def fault(self) -> None:
        """No file tells of faults."""

    def _memory(self) -> tuple[int, int] | tuple[None, None]:
        """In bytes, of all heaps that there are; not known unless each of them tells."""
        total = used = 0
        for text in filter(None, map(read_kernel_file, self._heaps)):
            size, taken = formats.heap(text)
            if size is None or taken is None:
                return None, None
            total, used = total + size, used + taken
        return plausible.memory(total, used)
