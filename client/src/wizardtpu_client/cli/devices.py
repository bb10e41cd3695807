"""What the daemon's devices say of themselves, for `status`."""

from __future__ import annotations

from collections.abc import Iterator

from wizardtpu_client.server import DeviceStatus

_GIB, _MHZ = 2**30, 1e6


def device_line(now: DeviceStatus) -> str:
    """All that is known of a device, such as `device 0  97% busy, chip 54 °C`."""
    return f"device {now.device}  {', '.join(_known(now)) or 'says nothing of itself'}"


def _known(now: DeviceStatus) -> Iterator[str]:
    if now.fault:
        yield "FAULT"
    if now.utilization is not None:
        yield f"{now.utilization:.0%} busy"
    if now.memory_used is not None and now.memory_total is not None:
        yield f"{now.memory_used / _GIB:.1f} of {now.memory_total / _GIB:.1f} GiB"
    for name, value, unit in (
        ("chip", now.chip_temperature, "°C"),
        ("board", now.board_temperature, "°C"),
        ("TPU", now.tpu_power, "W"),
        ("board", now.board_power, "W"),
        ("clock", now.tpu_clock and now.tpu_clock / _MHZ, "MHz"),
    ):
        if value is not None:
            yield f"{name} {value:.0f} {unit}"
    if now.driver_version is not None:
        yield f"driver {now.driver_version}"
