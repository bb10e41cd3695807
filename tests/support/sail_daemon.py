"""The daemon, to which the stand-in for sophon-sail has as many devices as SAIL_STANDIN_DEVICES says.

A program of its own, for the stand-in cannot pretend to it: the daemon asks libbmlib, which is the simulator's.
"""

from __future__ import annotations

import os
import sys

from wizardtpud.cli import main
from wizardtpud.device.sail import SailLibrary

from tests.support.sail import DEVICES_VARIABLE, with_devices

COMMAND = (sys.executable, "-m", "tests.support.sail_daemon")

_load = SailLibrary.load


def _load_with_devices() -> SailLibrary:
    return with_devices(_load(), int(os.environ[DEVICES_VARIABLE]))


if __name__ == "__main__":
    SailLibrary.load = _load_with_devices  # type: ignore[method-assign]
    main()
