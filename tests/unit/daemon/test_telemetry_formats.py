"""The texts of the drivers' files, and texts that are none of theirs."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wizardtpud.device.telemetry import formats, plausible

Parser = Callable[[str], float | None]

NOTHING = [
    "",
    "\n",
    "N/A\n",
    "1682 not support\n",
    "-1",
    "nan",
    "NaN C",
    "inf W",
    "1e3 W",
    "\x00",
    "۴۵ C",
    "45 C 46 C",
]


@pytest.mark.parametrize(
    ("parser", "text", "value"),
    [
        (formats.temperature, "45 C\n", 45),
        (formats.temperature, "-12 C\n", -12),
        (formats.temperature, "0 C\n", 0),
        (formats.thermal_zone, "45123\n", 45.123),
        (formats.thermal_zone, "-5000\n", -5),
        (formats.power, "12 W\n", 12),
        (formats.power, "0 W\n", 0),
        (formats.clock, "950 MHz\n", 950e6),
        (formats.clock, "1000MHz\n", 1e9),
        (formats.utilization, "usage:5 avusage:3\n", 0.05),
        (formats.utilization, '"usage": 5, "avusage": 3\n', 0.05),
        (formats.utilization, "usage:0 avusage:0\n", 0),
        (formats.utilization, "usage:100 avusage:-3\n", 1),
    ],
)
def test_what_the_drivers_write(parser: Parser, text: str, value: float) -> None:
    assert parser(text) == value


@pytest.mark.parametrize("text", NOTHING)
@pytest.mark.parametrize("parser", [formats.temperature, formats.power, formats.clock, formats.utilization])
def test_what_tells_nothing(parser: Parser, text: str) -> None:
    assert parser(text) is None


@pytest.mark.parametrize(
    ("parser", "text"),
    [
        (formats.temperature, "-1024 C"),  # what a sensor's failure is told as
        (formats.temperature, "4294966272 C"),
        (formats.temperature, "45 W"),
        (formats.thermal_zone, "-274000"),
        (formats.thermal_zone, "54.3"),
        (formats.power, "-3 W"),
        (formats.power, "4294966273 W"),
        (formats.clock, "0 MHz"),
        (formats.clock, "950 kHz"),
        (formats.utilization, "Please, set [Usage enable] to 1\n"),
        (formats.utilization, "usage:101 avusage:3\n"),
        (formats.utilization, "usage:-1 avusage:3\n"),
        (formats.utilization, "usage:5.5 avusage:3\n"),
        (formats.utilization, "avusage:3\n"),
    ],
)
def test_what_cannot_be(parser: Parser, text: str) -> None:
    assert parser(text) is None


def test_faults() -> None:
    texts = ["Active\n", "Fault\n", "N/A\n", "", "active"]
    assert [formats.fault(text) for text in texts] == [False, True, None, None, None]


def test_driver_versions() -> None:
    assert formats.driver_version("release version:0.5.1   release date: 20240304-120000\n") == "0.5.1"
    assert formats.driver_version("release version:0.4.9-LTS   release date: 20231025\n") == "0.4.9-LTS"
    assert formats.driver_version("1682 not support\n") is None
    assert formats.driver_version("release version:   release date: \n") is None


def test_heaps() -> None:
    line = "[0] npu heap size:4141875200 bytes, used:12288 bytes\tusage rate:0%, memory usage peak 0 bytes\n"
    assert formats.heap("Summary:\n" + line + "[0] npu heap bytes: 3\n") == (4141875200, 12288)
    assert formats.heap("Summary:\n") == (None, None)
    assert formats.heap("[0] npu heap size:5 bytes, used:6 bytes") == (None, None)
    assert formats.heap("[0] npu heap size:-5 bytes, used:-6 bytes") == (None, None)
    assert formats.heap("[1] vpu heap size:0 bytes, used:0 bytes") == (None, None)


TEXTS = st.text(max_size=200)
NUMBERS = st.integers(-(10**40), 10**40) | st.floats() | st.text("0123456789-+.eE_ ", max_size=5000)
PHRASES = [
    "{} C",
    "{} W",
    "{} MHz",
    "{}",
    "usage:{} avusage:{}",
    '"usage": {}, "avusage": {}',
    "[0] npu heap size:{} bytes, used:{} bytes",
    "release version:{}",
]


@given(st.builds(str.format, st.sampled_from(PHRASES), NUMBERS, NUMBERS) | TEXTS)
@example("9" * 5000 + " C")
def test_no_text_gives_nonsense(text: str) -> None:
    for number in (formats.temperature(text), formats.thermal_zone(text)):
        assert number is None or -64 <= number <= 191
    power, clock, utilization = formats.power(text), formats.clock(text), formats.utilization(text)
    assert power is None or 0 <= power <= 1000
    assert clock is None or 0 < clock <= 1e10
    assert utilization is None or 0 <= utilization <= 1
    total, used = formats.heap(text)
    assert (total is None and used is None) or (total is not None and used is not None and 0 <= used <= total)
    assert formats.fault(text) is None or text.strip() in ("Active", "Fault")
    version = formats.driver_version(text)
    assert version is None or (version.isprintable() and 0 < len(version) <= 64)


@pytest.mark.parametrize(
    "meaning", [plausible.utilization, plausible.temperature, plausible.power, plausible.clock]
)
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 0xFFFFFC00, 0xFFFFFC01, -(2**31)])
def test_numbers_that_mean_nothing(meaning: Callable[[float], float | None], number: float) -> None:
    assert meaning(number) is None
