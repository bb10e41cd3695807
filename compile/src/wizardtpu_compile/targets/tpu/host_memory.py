"""Memory of this machine."""

from __future__ import annotations

import os
import re
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")


def available_memory() -> int:
    """Bytes that can be used without swapping, as the kernel estimates; all there are where it does not."""
    if found := re.search(r"^MemAvailable:\s+(\d+) kB", _MEMINFO.read_text() if _MEMINFO.exists() else "", re.M):
        return int(found[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
