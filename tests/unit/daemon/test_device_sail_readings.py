"""What becomes of sail's answers about a device."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from wizardtpud.device.sail import SailLibrary
from wizardtpud.device.sail.readings import SailReadings
from wizardtpud.device.telemetry import DeviceReading

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
    return SailLibrary(sail, version, None, 2, (SailError,))


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
