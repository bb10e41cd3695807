"""What the files of Sophgo's drivers look like, one function for each kind.

Every function takes any text and gives None for one that tells nothing: an empty one, "N/A", or another format.
"""

from __future__ import annotations

import re

from wizardtpud.device.telemetry import plausible

_TEMPERATURE = re.compile(r"(-?\d{1,9}) C", re.ASCII)
_THERMAL_ZONE = re.compile(r"(-?\d{1,9})", re.ASCII)
_POWER = re.compile(r"(\d{1,9}) W", re.ASCII)
_CLOCK = re.compile(r"(\d{1,9}) ?MHz", re.ASCII)
_USAGE = re.compile(r'"?usage"?: *(\d{1,9})(?![\w.])', re.ASCII)
_HEAP = re.compile(r"\bheap size:(\d{1,15}) bytes, used:(\d{1,15}) bytes", re.ASCII)
_VERSION = re.compile(r"release version: ?([\w.+-]{1,64})(?!\S)", re.ASCII)
_FAULT = {"Active": False, "Fault": True}


def temperature(text: str) -> float | None:
    """`45 C`, in degrees Celsius."""
    match = _TEMPERATURE.fullmatch(text.strip())
    return plausible.temperature(float(match[1])) if match else None


def thermal_zone(text: str) -> float | None:
    """`45123`, thousandths, in degrees Celsius."""
    match = _THERMAL_ZONE.fullmatch(text.strip())
    return plausible.temperature(int(match[1]) / 1000) if match else None


def power(text: str) -> float | None:
    """`12 W`, in watts."""
    match = _POWER.fullmatch(text.strip())
    return plausible.power(float(match[1])) if match else None


def clock(text: str) -> float | None:
    """`1000 MHz`, in hertz."""
    match = _CLOCK.fullmatch(text.strip())
    return plausible.clock(int(match[1])) if match else None


def utilization(text: str) -> float | None:
    """`usage:5 avusage:3` or `"usage": 5, "avusage": 3`, lately and ever, in percent; lately, as a ratio."""
    match = _USAGE.match(text.strip())
    return plausible.utilization(int(match[1])) if match else None


def heap(text: str) -> tuple[int, int] | tuple[None, None]:
    """`[0] npu heap size:4141875200 bytes, used:0 bytes` among other lines: the bytes in all, and those used."""
    match = _HEAP.search(text)
    return plausible.memory(int(match[1]), int(match[2])) if match else (None, None)


def fault(text: str) -> bool | None:
    """`Active` or `Fault`."""
    return _FAULT.get(text.strip())


def driver_version(text: str) -> str | None:
    """`release version:0.5.1   release date: 20240304-120000`: the version."""
    match = _VERSION.match(text.strip())
    return match[1] if match else None
