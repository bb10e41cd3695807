"""A stand-in for the vendor's `sophon.sail`, which is in no index: its behaviour, on the vendor's simulator.

It has what the daemon uses and no more, and is as strict and as careless as the original: views do not keep their
memory, neither type nor size of what a network is given is looked at, and nothing is closed when the interpreter
exits. Where the original would take the process with it, it raises `Crash`, which no `except Exception` catches.

Tests put the directory above `sophon` on sys.path, and set SAIL_STANDIN_SIMULATOR to the directory of the
simulator's libraries and SAIL_STANDIN_DEVICES, if they like, to a number of devices: each is the simulator's one.
The simulator's libbmlib still counts one; tests that want more see to that, too.
"""

from __future__ import annotations

from .crash import Crash
from .dtype import Dtype
from .engine import EngineLLM
from .errors import (
    DataTypeError,
    MemoryError,  # noqa: A004 - sail's own
    NotSupport,
    SailDeviceError,
    SailEngineError,
    SailTensorError,
    SailUnknownError,
)
from .handle import Handle
from .telemetry import get_board_temp, get_chip_temp, get_dev_stat
from .tensor import Tensor

__version__ = "master(20251114_213701)"  # the original, too, has the date of its build here

__all__ = [
    "Crash",
    "DataTypeError",
    "Dtype",
    "EngineLLM",
    "Handle",
    "MemoryError",
    "NotSupport",
    "SailDeviceError",
    "SailEngineError",
    "SailTensorError",
    "SailUnknownError",
    "Tensor",
    "get_board_temp",
    "get_chip_temp",
    "get_dev_stat",
]
