"""Files that the kernel writes anew for every reader."""

from __future__ import annotations

from pathlib import Path

_ENOUGH = 4096  # bytes; what is read here stands at the beginning


def read_kernel_file(path: Path) -> str:
    """What the file says; nothing if it is not there, may not be read, or its device does not answer."""
    try:
        with path.open("rb") as file:
            return file.read(_ENOUGH).decode("ascii", errors="replace")
    except OSError:
        return ""
