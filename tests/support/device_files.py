"""The files of Sophgo's drivers, laid out below a directory as they are below the root of a real machine."""

from __future__ import annotations

from pathlib import Path


def write_files(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def pcie_files(device: int = 0, card: int = 0) -> dict[str, str]:
    """Of one chip on a card, as they are when all is well."""
    on_card, on_chip = f"proc/bmsophon/card{card}", f"proc/bmsophon/card{card}/bmsophon{device}"
    return {
        "proc/bmsophon/driver_version": "release version:0.5.1   release date: 20240304-120000\n",
        f"{on_card}/board_power": "31 W\n",
        f"{on_card}/board_temp": "47 C\n",
        f"{on_chip}/chip_temp": "54 C\n",
        f"{on_chip}/tpu_power": "23 W\n",
        f"{on_chip}/tpu_freq": "950 MHz\n",
        f"{on_chip}/status": "Active\n",
        f"sys/class/bm-sophon/bm-sophon{device}/device/npu_usage": "usage:97 avusage:40\n",
    }


def soc_files() -> dict[str, str]:
    """Of a SoC, as root sees them."""
    heap = "[{}] {} heap size:{} bytes, used:{} bytes\tusage rate:{}%, memory usage peak 456974336 bytes\n"
    return {
        "sys/class/bm-tpu/bm-tpu0/device/npu_usage": '"usage": 97, "avusage": 40\n',
        "sys/class/thermal/thermal_zone0/temp": "54321\n",
        "sys/class/thermal/thermal_zone1/temp": "47000\n",
        "sys/kernel/debug/ion/bm_npu_heap_dump/summary": "Summary:\n" + heap.format(0, "npu", 4141875200, 1000, 0),
        "sys/kernel/debug/ion/bm_vpu_heap_dump/summary": "Summary:\n" + heap.format(2, "vpu", 2147483648, 20, 0),
        "sys/kernel/debug/ion/bm_vpp_heap_dump/summary": "Summary:\n" + heap.format(1, "vpp", 3221225472, 3, 0),
    }
