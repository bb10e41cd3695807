"""What becomes of the library's answers. A stand-in gives them, through the same C calls and declarations."""

from __future__ import annotations

import ctypes
import struct
from ctypes import CFUNCTYPE, c_char_p, c_float, c_int, c_uint, c_void_p
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from wizardtpud.device.bmrt.device import Device
from wizardtpud.device.bmrt.readings import readings_of
from wizardtpud.device.telemetry import DeviceReading, LibraryReadings, telemetry_of
from wizardtpud.device.vendor.bmlib import DeviceStat, declare_telemetry

from tests.support.device_files import pcie_files, write_files

HANDLE = 0x5EED
BUSY, UNSUPPORTED = 7, 9
VERSION = (
    b"libbmlib_version:1.0.0, branch:master, commit:ee6becb05d201865a668ccc5f529761e1a0bff69, compiled on Aug"
)
ANSWERS: dict[str, Any] = {
    "bm_get_stat": DeviceStat(memory_total=15_000, memory_used=9_000, utilization=97),
    "bm_get_chip_temp": c_uint(54),
    "bm_get_board_temp": c_uint(47),
    "bm_get_tpu_power": c_float(23.5),
    "bm_get_board_power": c_uint(31),
    "bm_get_clk_tpu_freq": c_int(950),
    "bm_get_status": c_int(0),
    "bm_get_driver_version": c_int(5 << 8 | 1),
}
FULL = DeviceReading(
    0,
    "library",
    utilization=0.97,
    memory_used=9_000 * 2**20,
    memory_total=15_000 * 2**20,
    chip_temperature=54,
    board_temperature=47,
    tpu_power=23.5,
    board_power=31,
    tpu_clock=950e6,
    fault=False,
    driver_version="0.5.1",
    library_version="libbmlib 1.0.0 (ee6becb05d20)",
)


def answering(name: str, value: Any) -> Any:
    """A function that writes a value and succeeds, or fails with the status given instead of one."""

    def write(handle: int | None, target: int) -> int:
        assert handle == HANDLE
        if isinstance(value, int):
            return value
        ctypes.memmove(target, ctypes.addressof(value), ctypes.sizeof(value))
        return 0

    function: Any = CFUNCTYPE(c_int, c_void_p, c_void_p)(write)
    function.__name__ = name
    return function


def opened(answers: dict[str, Any] = ANSWERS, version: bytes | None = VERSION, simulated: bool = False) -> Device:
    """What `Device` is to a reader: the library, the handles of two devices, and whether they are open."""
    bmlib = SimpleNamespace(**{name: answering(name, value) for name, value in answers.items()})
    if version is not None:
        bmlib.libbmlib_version = _telling(version)
    declare_telemetry(bmlib)
    library = SimpleNamespace(bmlib=bmlib, simulated=simulated)
    handles = (c_void_p * 2)(0xBAD, HANDLE)
    return cast("Device", SimpleNamespace(library=library, handles=handles, close=SimpleNamespace(alive=True)))


def _telling(version: bytes) -> Any:
    kept = ctypes.create_string_buffer(version)
    function = CFUNCTYPE(c_void_p)(lambda: ctypes.addressof(kept))
    return ctypes.cast(function, CFUNCTYPE(c_char_p))


def readings(device: Device, *numbers: int) -> dict[int, LibraryReadings]:
    return readings_of(numbers, device.library, device.handles, device.close)


def reading(device: Device) -> DeviceReading:
    return readings(device, 3, 0)[0].read()


def all_but(*names: str) -> DeviceReading:
    return DeviceReading(**{**vars(FULL), **dict.fromkeys(names)})


def test_the_structure_is_laid_out_as_in_c() -> None:
    assert ctypes.sizeof(DeviceStat) == 64
    assert bytes(DeviceStat(1, 2, 3, 4))[:16] == struct.pack("=iiii", 1, 2, 3, 4)


def test_all_that_a_library_tells() -> None:
    assert reading(opened()) == FULL


def test_a_library_that_has_none_of_it() -> None:
    assert reading(opened({}, version=None)) == DeviceReading(0, "library")


TOLD_BY = {
    "bm_get_stat": ("utilization", "memory_used", "memory_total"),
    "bm_get_chip_temp": ("chip_temperature",),
    "bm_get_board_temp": ("board_temperature",),
    "bm_get_tpu_power": ("tpu_power",),
    "bm_get_board_power": ("board_power",),
    "bm_get_clk_tpu_freq": ("tpu_clock",),
    "bm_get_status": ("fault",),
    "bm_get_driver_version": ("driver_version",),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("status", [BUSY, UNSUPPORTED, None])
def test_what_fails_or_is_not_there_is_absent(name: str, status: int | None) -> None:
    answers = {**ANSWERS, name: status}
    device = opened({name: answer for name, answer in answers.items() if answer is not None})
    assert reading(device) == all_but(*TOLD_BY[name])


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("bm_get_stat", DeviceStat(memory_total=0, memory_used=0, utilization=-1)),
        ("bm_get_stat", DeviceStat(memory_total=100, memory_used=101, utilization=101)),
        ("bm_get_stat", DeviceStat(memory_total=-5, memory_used=-6, utilization=-(2**31))),
        ("bm_get_chip_temp", c_uint(0xFFFFFC00)),
        ("bm_get_board_temp", c_uint(0xFFFFFC01)),
        ("bm_get_tpu_power", c_float(float("nan"))),
        ("bm_get_tpu_power", c_float(-1)),
        ("bm_get_board_power", c_uint(0xFFFFFC01)),
        ("bm_get_clk_tpu_freq", c_int(0)),
        ("bm_get_clk_tpu_freq", c_int(-950)),
        ("bm_get_driver_version", c_int(0)),
    ],
)
def test_answers_that_cannot_be_are_absent(name: str, answer: Any) -> None:
    assert reading(opened({**ANSWERS, name: answer})) == all_but(*TOLD_BY[name])


@pytest.mark.parametrize(("bits", "fault"), [(0, False), (1, True), (2, True), (4, False), (5, True), (8, True)])
def test_any_bit_of_the_status_but_that_of_heat_is_a_fault(bits: int, fault: bool) -> None:
    assert reading(opened({**ANSWERS, "bm_get_status": c_int(bits)})).fault is fault


@pytest.mark.parametrize("version", [None, b"", b"\xff\xfe", b"libbmlib_version:1.0.0"])
def test_a_library_of_an_unknown_version(version: bytes | None) -> None:
    assert reading(opened(version=version)) == all_but("library_version")


def test_a_closed_device_is_not_touched() -> None:
    device = opened()
    device.close.alive = False  # type: ignore[misc]
    assert reading(device) == DeviceReading(0)


def test_files_and_library_together(tmp_path: Path) -> None:
    write_files(tmp_path, pcie_files(device=4))
    _, telemetry = telemetry_of([3, 4], readings(opened(), 3, 4), tmp_path)
    telemetry.refresh()
    now = telemetry.read()
    assert (now.device, now.source) == (4, "pcie")
    assert (now.tpu_power, now.memory_used) == (23, FULL.memory_used)  # the files round down, and tell no memory


def test_a_simulated_device_is_not_asked_nor_taken_for_a_real_one(tmp_path: Path) -> None:
    write_files(tmp_path, pcie_files())
    (telemetry,) = telemetry_of([0], readings(opened(simulated=True), 0), tmp_path)
    telemetry.refresh()
    assert telemetry.read() == DeviceReading(0)
