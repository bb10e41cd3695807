"""Which implementation runs networks on this machine's chips."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wizardtpud.device.bmrt.library import BmrtLibrary
from wizardtpud.device.bmrt.locations import CHIP
from wizardtpud.device.sail.library import SailLibrary
from wizardtpud.errors import DeviceError

DeviceKind = Literal["sail", "bmrt", "simulator", "cpu"]

BySail = Literal["good", "slow", "impossible"]
"""How networks run by sophon-sail; slow are those with which it can read a long prompt only token by token."""

_CURE = (
    "check the card and the driver; to try the bundle without a chip, use --device simulator (seconds for a token)"
)


@dataclass(frozen=True)
class DeviceChoice:
    """What is to run a model, and why."""

    kind: DeviceKind
    reason: str

    @property
    def owned(self) -> bool:
        """Whether processes share the device, so that one of them has to own it."""
        return self.kind in ("sail", "bmrt")


def choose_for_chip(library: Path | None, by_sail: BySail = "good") -> DeviceChoice:
    """sophon-sail where it is installed, else the vendor's runtime itself; that first for what is slow by sail.

    Never the simulator, which is too slow.

    Args:
        library: the directory with the runtime's libraries, if they are not where the vendor's packages put them.
        by_sail: how the networks run by sophon-sail.

    Raises:
        DeviceError: neither can be used; the text says why.
    """
    if library is not None:
        return DeviceChoice("bmrt", f"library names {library}")
    if by_sail == "impossible":
        return _choose_bmrt("sophon-sail cannot run these networks")
    if by_sail == "slow":
        with suppress(DeviceError):
            return _choose_bmrt("sophon-sail would read long prompts token by token")
    try:
        found = SailLibrary.load()
    except DeviceError as sail_error:
        return _choose_bmrt(str(sail_error))
    if not found.device_count:
        raise DeviceError(f"sophon-sail is installed, and sees no device; {_CURE}")
    slow = "; long prompts are slow there, read token by token" if by_sail == "slow" else ""
    return DeviceChoice("sail", f"sophon-sail is installed, and sees {counted(found.device_count)}{slow}")


def _choose_bmrt(why_not_sail: str) -> DeviceChoice:
    try:
        count = BmrtLibrary.load(CHIP).device_count()
    except DeviceError as error:
        raise DeviceError(f"no way to a chip: {why_not_sail}; {error}; {_CURE}") from error
    if not count:
        raise DeviceError(f"the runtime in {CHIP} sees no device; {_CURE}")
    return DeviceChoice("bmrt", f"{why_not_sail}; the runtime in {CHIP} sees {counted(count)}")


def counted(count: int) -> str:
    """So many devices, in words."""
    return f"{count} device{'s' if count > 1 else ''}"
