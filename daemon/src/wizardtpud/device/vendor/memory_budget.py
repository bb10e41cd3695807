"""What is left of a device's memory."""

from __future__ import annotations

from wizardtpud.errors import DeviceError

_MB = 1_000_000
_PAGE = 4096  # bytes, in which memory is given away


class MemoryBudget:
    """Asked before anything is allocated: to run out of device memory may end the process.

    Args:
        device: its number.
        free: bytes; None if nobody knows, so that nothing is refused.
    """

    def __init__(self, device: int, free: int | None) -> None:
        self._device = device
        self._free = free

    def take(self, size: int, what: str) -> None:
        """Counts `size` bytes as used.

        Raises:
            DeviceError: there are not so many.
        """
        if self._free is None:
            return
        if size > self._free:
            raise DeviceError(
                f"device {self._device} is out of memory: {what} takes {_text(size)} and {_text(self._free)} are "
                "free; use fewer slots, or a bundle with a smaller context or fewer bits, or end what else uses it"
            )
        self._free -= -(-size // _PAGE) * _PAGE


def _text(size: int) -> str:
    return f"{size / _MB:.1f} MB"
