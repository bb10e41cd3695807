"""The daemon, with a device that never comes back from a prompt that ends in one certain token."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence

from wizardtpud.cli import main
from wizardtpud.engine.wizardtpu.forward import StepForward

COMMAND = (sys.executable, "-m", "tests.support.hanging_daemon")
HANG = 100

_read = StepForward.read


def _read_or_hang(self: StepForward, slot: int, tokens: Sequence[int], cached: int) -> int:
    if tokens[-1] == HANG:
        threading.Event().wait()
    return _read(self, slot, tokens, cached)


if __name__ == "__main__":
    StepForward.read = _read_or_hang  # type: ignore[method-assign]
    main()
