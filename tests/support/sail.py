"""The stand-in for sophon-sail: see `sail_standin/sophon/sail/__init__.py`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from wizardtpud.device.sail import SailLibrary

DEVICES_VARIABLE = "SAIL_STANDIN_DEVICES"
_STANDIN = Path(__file__).parent / "sail_standin"


def standin_environment(simulator: Path, devices: int = 1) -> dict[str, str]:
    """What a process must find in its environment to have it.

    `simulator` is the directory of the simulator's libraries, `devices` how many it knows.
    """
    return {
        "PYTHONPATH": str(_STANDIN),
        "SAIL_STANDIN_SIMULATOR": str(simulator),
        DEVICES_VARIABLE: str(devices),
    }


def load_standin(simulator: Path, devices: int = 1) -> SailLibrary:
    """It, for this process; but who imports `sophon.sail` later will not find it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in standin_environment(simulator, devices).items():
            patch.setenv(name, value)
        patch.syspath_prepend(_STANDIN)
        library = SailLibrary.load()
    for name in [name for name in sys.modules if name.partition(".")[0] == "sophon"]:
        del sys.modules[name]
    return with_devices(library, devices)


def with_devices(library: SailLibrary, count: int) -> SailLibrary:
    """It, with so many devices, all of which are the one that its libbmlib knows."""
    return replace(library, device_count=count, bmlib=_OneForAll(library.bmlib))


class _OneForAll:
    """A libbmlib that opens device 0, whichever is asked for."""

    def __init__(self, bmlib: Any) -> None:
        self._bmlib = bmlib

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bmlib, name)

    def bm_dev_request(self, handle: Any, index: int) -> None:
        del index
        self._bmlib.bm_dev_request(handle, 0)
