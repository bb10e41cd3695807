"""What devices say of themselves: plausible numbers, for the simulator has none."""

from __future__ import annotations

from .simulator import require_device


def get_dev_stat(tpu_id: int) -> list[int]:
    """MiB in all, MiB used, and % of the time at work."""
    require_device(tpu_id)
    return [10794, 4711, 42]


def get_chip_temp(tpu_id: int) -> int:
    require_device(tpu_id)
    return 51


def get_board_temp(tpu_id: int) -> int:
    require_device(tpu_id)
    return 44
