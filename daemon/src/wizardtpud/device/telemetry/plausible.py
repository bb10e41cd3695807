"""The bounds of what a device can say of itself.

Drivers and libraries put odd numbers where they have none to tell. What is out of bounds is absent.
"""

from __future__ import annotations


def utilization(percent: float) -> float | None:
    """As a ratio."""
    return percent / 100 if 0 <= percent <= 100 else None


def temperature(celsius: float) -> float | None:
    """Within what the boards' sensor, a TMP451, can measure."""
    return celsius if -64 <= celsius <= 191 else None


def power(watts: float) -> float | None:
    """Up to far more than a PCIe slot and its cables give; a TPU may well take less than a watt, told as 0."""
    return watts if 0 <= watts <= 1000 else None


def clock(megahertz: float) -> float | None:
    """In hertz. A clock that stands still is one that is not known."""
    return megahertz * 1e6 if 0 < megahertz <= 10_000 else None


def memory(total: int, used: int) -> tuple[int, int] | tuple[None, None]:
    """Both in bytes, or neither."""
    return (total, used) if 0 <= used <= total and total > 0 else (None, None)
