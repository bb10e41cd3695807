"""What the stand-in stands on."""

from __future__ import annotations

import os
from pathlib import Path

from wizardtpud.device.bmrt.library import BmrtLibrary

from .crash import Crash

LIBRARY = BmrtLibrary.load(Path(os.environ["SAIL_STANDIN_SIMULATOR"]))
DEVICES = int(os.environ.get("SAIL_STANDIN_DEVICES", "1"))


def require_device(number: int) -> None:
    if not 0 <= number < DEVICES:
        raise Crash(f"bm_dev_request ends the process: there is no device {number}")
