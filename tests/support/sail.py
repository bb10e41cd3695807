"""The stand-in for sophon-sail: see `sail_standin/sophon/sail/__init__.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import wizardtpud.device.sail.library
from wizardtpud.device.sail import SailLibrary

_STANDIN = Path(__file__).parent / "sail_standin"


def standin_environment(simulator: Path, devices: int = 1) -> dict[str, str]:
    """What a process must find in its environment to have it.

    `simulator` is the directory of the simulator's libraries, `devices` how many there seem to be.
    """
    return {
        "PYTHONPATH": str(_STANDIN),
        "SAIL_STANDIN_SIMULATOR": str(simulator),
        "SAIL_STANDIN_DEVICES": str(devices),
    }


def load_standin(simulator: Path, devices: int = 1) -> SailLibrary:
    """It, for this process; but who imports `sophon.sail` later will not find it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in standin_environment(simulator, devices).items():
            patch.setenv(name, value)
        patch.syspath_prepend(_STANDIN)
        patch.setattr(
            wizardtpud.device.sail.library, "count_devices", wizardtpud.device.sail.library.count_devices
        )
        library = SailLibrary.load()
    for name in [name for name in sys.modules if name.partition(".")[0] == "sophon"]:
        del sys.modules[name]
    return library
