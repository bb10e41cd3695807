"""The vendor's own library, as far as the simulator can tell of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from wizardtpu_compile.toolchain.toolchain import Toolchain
from wizardtpud.device.bmrt.device import Device
from wizardtpud.device.bmrt.library import BmrtLibrary
from wizardtpud.device.telemetry import DeviceReading, telemetry_of
from wizardtpud.device.telemetry.bmlib import BmlibReadings
from wizardtpud.device.vendor.simulator import simulates


@pytest.fixture
def device(toolchain: Toolchain) -> Iterator[Device]:
    device = Device(BmrtLibrary.load(toolchain.simulator), [0])
    yield device
    device.close()


def test_a_simulated_device_tells_its_number_alone(device: Device) -> None:
    (telemetry,) = telemetry_of([0], device.readings)
    telemetry.refresh()
    assert telemetry.read() == DeviceReading(0)


@pytest.mark.usefixtures("device")
def test_the_simulator_is_told_by_what_opening_a_device_loads() -> None:
    assert simulates()


def test_the_functions_are_called_as_the_library_has_them(device: Device) -> None:
    """It supports next to none of them here, but the names, and the text with its version, are the same."""
    reading = BmlibReadings(0, device.library.bmlib, device.handle, device.close).read()
    assert (reading.board_power, reading.fault, reading.driver_version) == (None, None, None)
    assert reading.library_version is not None
    assert reading.library_version.startswith("libbmlib 1.")
