"""What becomes of sail's answers about a device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from wizardtpud.device.sail import SailLibrary
from wizardtpud.device.sail.readings import SailReadings, free_memory, telemetry_of
from wizardtpud.device.telemetry import DeviceReading
from wizardtpud.errors import DeviceError

from tests.support.device_files import pcie_files, write_files

MIB = 2**20


class SailError(Exception): ...


def answering(answer: object) -> Callable[[int], object]:
    """A function that gives an answer for device 1, or fails with the exception given instead of one."""

    def answer_or_fail(device: int) -> object:
        assert device == 1
        if isinstance(answer, Exception):
            raise answer
        return answer

    return answer_or_fail


def library(
    stat: object = (10_794, 4_711, 42), chip: object = 51, board: object = 44, version: str | None = "3.10.7"
) -> SailLibrary:
    functions = {"get_dev_stat": stat, "get_chip_temp": chip, "get_board_temp": board}
    sail: Any = SimpleNamespace(**{name: answering(answer) for name, answer in functions.items()})
    return SailLibrary(sail, version, 2, (SailError,))


def test_all_it_knows() -> None:
    assert SailReadings(1, library()).read() == DeviceReading(
        1,
        "library",
        utilization=0.42,
        memory_used=4_711 * MIB,
        memory_total=10_794 * MIB,
        chip_temperature=51,
        board_temperature=44,
        library_version="sophon-sail 3.10.7",
    )


def test_what_fails_is_absent() -> None:
    failing = library(stat=SailError("bm_get_stat failed"), chip=SailError(), board=SailError(), version=None)
    assert SailReadings(1, failing).read() == DeviceReading(1, "library")


def test_a_soc_has_no_temperatures() -> None:
    reading = SailReadings(1, library(chip=SailError(), board=SailError())).read()
    assert (reading.chip_temperature, reading.board_temperature, reading.utilization) == (None, None, 0.42)


def test_nonsense_is_absent() -> None:
    reading = SailReadings(1, library(stat=(0, 0, 4_321), chip=4_294_967_295, board=-300)).read()
    assert reading == DeviceReading(1, "library", library_version="sophon-sail 3.10.7")


def test_only_a_device_that_a_driver_knows_is_asked(tmp_path: Path) -> None:
    write_files(tmp_path, pcie_files(1))
    (simulated, real) = telemetry_of([0, 1], library(), tmp_path)
    for telemetry in (simulated, real):
        telemetry.refresh()
    assert simulated.read() == DeviceReading(0)
    assert real.read().memory_used == 4_711 * MIB


RESERVED = 81 * MIB  # by the simulator, for itself


class TestFreeMemory:
    @pytest.mark.parametrize(
        ("stat", "free"), [((10_794, 4_711, 42), 6_083 * MIB), ((0, 0, 0), None), (SailError(), None)]
    )
    def test_of_a_device(self, tmp_path: Path, stat: object, free: int | None) -> None:
        write_files(tmp_path, pcie_files(1))
        assert free_memory(1, library(stat), tmp_path) == free

    @pytest.mark.parametrize(
        ("told", "free"), [("0x10000000", 2**28 - RESERVED), ("0x1000", 0), (None, 2**32 - RESERVED)]
    )
    def test_of_the_simulator(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str | None, free: int
    ) -> None:
        monkeypatch.delenv("CMODEL_GLOBAL_MEM_SIZE", raising=False)
        if told is not None:
            monkeypatch.setenv("CMODEL_GLOBAL_MEM_SIZE", told)
        assert free_memory(1, library(), tmp_path) == free

    def test_what_the_simulator_would_not_understand(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CMODEL_GLOBAL_MEM_SIZE", "1073741824")
        with pytest.raises(DeviceError, match="must be like 0x40000000"):
            free_memory(1, library(), tmp_path)
