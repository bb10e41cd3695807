"""What is read of the drivers' files on machines of either kind, whole and broken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from wizardtpud.device.telemetry import DeviceReading
from wizardtpud.device.telemetry.file_readings import FileReadings, find_files

from tests.support.device_files import pcie_files, soc_files, write_files

PCIE = DeviceReading(
    0,
    "pcie",
    utilization=0.97,
    chip_temperature=54,
    board_temperature=47,
    tpu_power=23,
    board_power=31,
    tpu_clock=950e6,
    fault=False,
    driver_version="0.5.1",
)
SOC = DeviceReading(
    0,
    "soc",
    utilization=0.97,
    memory_used=1023,
    memory_total=4141875200 + 2147483648 + 3221225472,
    chip_temperature=54.321,
    board_temperature=47,
)
HEAPS = [f"sys/kernel/debug/ion/bm_{name}_heap_dump/summary" for name in ("npu", "vpu", "vpp")]


def found(root: Path, device: int = 0) -> FileReadings:
    files = find_files(device, root)
    assert files is not None
    return files


def test_a_card(tmp_path: Path) -> None:
    write_files(tmp_path, pcie_files())
    assert found(tmp_path).read() == PCIE


def test_a_soc(tmp_path: Path) -> None:
    write_files(tmp_path, soc_files())
    assert found(tmp_path).read() == SOC
    assert found(tmp_path).fault() is None


def test_a_chip_is_found_on_whichever_card_it_is(tmp_path: Path) -> None:
    for device, card in ((0, 0), (1, 0), (2, 1), (12, 1)):
        write_files(tmp_path, pcie_files(device, card))
    write_files(
        tmp_path,
        {"proc/bmsophon/card1/bmsophon2/chip_temp": "80 C\n", "proc/bmsophon/card1/board_temp": "60 C\n"},
    )
    expected = replace(PCIE, device=2, chip_temperature=80, board_temperature=60)
    assert found(tmp_path, 2).read() == expected
    assert found(tmp_path, 1).read() == replace(PCIE, device=1)


@pytest.mark.parametrize("device", [3, -1])
def test_a_device_that_is_not_there(tmp_path: Path, device: int) -> None:
    write_files(tmp_path, pcie_files())
    assert find_files(device, tmp_path) is None


def test_a_machine_without_devices(tmp_path: Path) -> None:
    write_files(tmp_path, {"sys/class/thermal/thermal_zone0/temp": "27800\n", "proc/version": "Linux\n"})
    assert find_files(0, tmp_path) is None


def test_every_reading_is_new(tmp_path: Path) -> None:
    write_files(tmp_path, pcie_files())
    files = found(tmp_path)
    assert (files.read().fault, files.fault()) == (False, False)
    write_files(tmp_path, {"proc/bmsophon/card0/bmsophon0/status": "Fault\n"})
    assert (files.read().fault, files.fault()) == (True, True)


def test_what_a_card_does_not_support_is_absent(tmp_path: Path) -> None:
    write_files(tmp_path, dict.fromkeys(pcie_files(), "N/A\n"))
    assert found(tmp_path).read() == DeviceReading(0, "pcie")


@pytest.mark.parametrize("name", pcie_files())
@pytest.mark.parametrize("broken", ["missing", "a directory", "garbage"])
def test_one_file_of_a_card_that_cannot_be_read(tmp_path: Path, name: str, broken: str) -> None:
    write_files(tmp_path, pcie_files())
    spoil(tmp_path / name, broken)
    (tmp_path / "proc/bmsophon/card0/bmsophon0").mkdir(exist_ok=True)
    assert len(unlike(found(tmp_path).read(), PCIE)) == 1


@pytest.mark.parametrize("name", [name for name in soc_files() if name not in HEAPS])
@pytest.mark.parametrize("broken", ["missing", "a directory", "garbage"])
def test_one_file_of_a_soc_that_cannot_be_read(tmp_path: Path, name: str, broken: str) -> None:
    write_files(tmp_path, soc_files())
    spoil(tmp_path / name, broken)
    assert len(unlike(found(tmp_path).read(), SOC)) == 1


def spoil(path: Path, how: str) -> None:
    path.unlink()
    if how == "a directory":
        path.mkdir()
    elif how == "garbage":
        path.write_bytes(bytes(range(256)) * 100)


def unlike(reading: DeviceReading, whole: DeviceReading) -> list[str]:
    """What is absent of a reading; nothing else may differ."""
    absent = [name for name, value in vars(reading).items() if value != getattr(whole, name)]
    assert all(getattr(reading, name) is None for name in absent)
    return absent


def test_files_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the memory of a SoC is without root; tests may run as root, whom no mode keeps out."""
    write_files(tmp_path, soc_files())
    open_file = Path.open

    def forbidding(path: Path, mode: str) -> object:
        if "debug" in path.parts:
            raise PermissionError(13, "Permission denied")
        return open_file(path, mode)

    monkeypatch.setattr(Path, "open", forbidding)
    assert found(tmp_path).read() == replace(SOC, memory_used=None, memory_total=None)


def test_a_soc_with_fewer_heaps(tmp_path: Path) -> None:
    write_files(tmp_path, soc_files())
    (tmp_path / HEAPS[1]).unlink()
    reading = found(tmp_path).read()
    assert (reading.memory_used, reading.memory_total) == (1003, 4141875200 + 3221225472)


@pytest.mark.parametrize("name", HEAPS)
def test_a_heap_that_cannot_be_understood_leaves_the_sum_unknown(tmp_path: Path, name: str) -> None:
    write_files(tmp_path, soc_files() | {name: "Summary:\n"})
    assert found(tmp_path).read() == replace(SOC, memory_used=None, memory_total=None)
