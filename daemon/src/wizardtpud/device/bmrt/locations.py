"""Where the vendor's libraries usually are."""

from __future__ import annotations

import os
import re
from pathlib import Path

from wizardtpud.errors import DeviceError

CHIP = Path("/opt/sophon/libsophon-current/lib")
"""Where the vendor's packages put the libraries for real devices."""

TOOLCHAIN_VARIABLE = "WIZARDTPU_TOOLCHAIN"
_TOOLCHAINS = Path("~/.cache/wizardtpu")
_SIMULATOR = "simulator"


def find_simulator() -> Path:
    """The simulator that came with the vendor's compiler.

    Raises:
        DeviceError: it is not installed where it usually is.
    """
    named = os.environ.get(TOOLCHAIN_VARIABLE)
    toolchains = [Path(named)] if named else sorted(_TOOLCHAINS.expanduser().glob("toolchain-*"), key=_version)
    for toolchain in reversed(toolchains):
        if (toolchain / _SIMULATOR).is_dir():
            return toolchain / _SIMULATOR
    raise DeviceError(
        f"there is no simulator in {named or _TOOLCHAINS}: `wizardtpu-compile toolchain install` brings it; "
        f"${TOOLCHAIN_VARIABLE}, or the key library, names another place"
    )


def _version(toolchain: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", toolchain.name)]
