"""How the files' word and the library's come together."""

from __future__ import annotations

import threading
from dataclasses import fields

import pytest
from wizardtpud.device.telemetry import DeviceReading, Telemetry

FULL = DeviceReading(0, "pcie", 0.5, 2, 3, 4.0, 5.0, 6.0, 7.0, 8.0, fault=False, driver_version="1")
OTHER = DeviceReading(0, "library", 0.1, 12, 13, 14.0, 15.0, 16.0, 17.0, 18.0, False, "2", "3")


class Told:
    """Files or a library that say what a test has put in their mouth."""

    def __init__(self, reading: DeviceReading) -> None:
        self.reading = reading
        self.threads: list[threading.Thread] = []

    def read(self) -> DeviceReading:
        self.threads.append(threading.current_thread())
        return self.reading

    def fault(self) -> bool | None:
        return self.reading.fault


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_nothing_is_known_of_a_simulated_device() -> None:
    telemetry = Telemetry(3)
    telemetry.refresh()
    assert telemetry.read() == DeviceReading(3)
    assert all(value is None for name, value in vars(telemetry.read()).items() if name != "device")
    assert not telemetry.fault


def test_the_library_is_heard_after_a_refresh() -> None:
    telemetry = Telemetry(0, library=Told(OTHER))
    assert telemetry.read() == DeviceReading(0)
    telemetry.refresh()
    assert telemetry.read() == OTHER


def test_files_win_where_both_know() -> None:
    telemetry = Telemetry(0, Told(FULL), Told(OTHER))
    telemetry.refresh()
    expected = {**vars(FULL), "library_version": "3"}
    assert vars(telemetry.read()) == expected


@pytest.mark.parametrize("name", [field.name for field in fields(DeviceReading) if field.name != "device"])
def test_each_fills_what_the_other_lacks(name: str) -> None:
    alone = DeviceReading(0, **{name: getattr(OTHER, name)})
    assert DeviceReading(0).completed_by(alone) == alone == alone.completed_by(DeviceReading(0))


def test_zero_is_known() -> None:
    reading = DeviceReading(0, utilization=0.0, memory_used=0, tpu_power=0.0, fault=False)
    assert reading.completed_by(OTHER).utilization == 0.0
    assert reading.completed_by(OTHER).memory_used == 0


@pytest.mark.parametrize("files", [None, False, True])
@pytest.mark.parametrize("library", [None, False, True])
def test_a_fault_is_one_whoever_tells_of_it(files: bool | None, library: bool | None) -> None:
    telemetry = Telemetry(0, Told(DeviceReading(0, fault=files)), Told(DeviceReading(0, fault=library)))
    telemetry.refresh()
    assert telemetry.fault == (True in (files, library))
    assert telemetry.read().fault == (None if files is library is None else telemetry.fault)


def test_the_library_is_asked_once_a_second() -> None:
    clock, library = Clock(), Told(OTHER)
    telemetry = Telemetry(0, None, library, clock)
    for seconds, times in ((0.0, 1), (0.5, 1), (0.4, 1), (0.1, 2), (7.0, 3), (0.9, 3)):
        clock.now += seconds
        telemetry.refresh()
        assert len(library.threads) == times


def test_other_threads_do_not_touch_the_library() -> None:
    library = Told(OTHER)
    telemetry = Telemetry(0, Told(DeviceReading(0)), library)
    telemetry.refresh()
    read: list[DeviceReading] = []
    other = threading.Thread(target=lambda: read.extend([telemetry.read(), telemetry.read()]))
    other.start()
    other.join()
    assert read == [OTHER, OTHER]
    assert library.threads == [threading.current_thread()]
