"""Devices with a model on them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from ctypes import c_void_p
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakSet, finalize

from wizardtpud.device.sail.library import SailLibrary
from wizardtpud.device.sail.readings import SailReadings
from wizardtpud.device.telemetry import LibraryReadings
from wizardtpud.device.telemetry.bmlib import BmlibReadings
from wizardtpud.device.telemetry.free_memory import free_memory
from wizardtpud.device.vendor.floating_point import kept_arithmetic
from wizardtpud.device.vendor.memory_budget import MemoryBudget
from wizardtpud.device.vendor.simulator import simulates
from wizardtpud.errors import DeviceError


class Holder(Protocol):
    """What has tensors of sail."""

    def release(self) -> None:
        """Lets go of them."""
        ...


@dataclass
class _Opened:
    """What is open: sail closes a thing when nothing refers to it any more, libbmlib when it is told to."""

    asked: ExitStack = field(default_factory=ExitStack)
    handle: Any = None
    engine: Any = None
    holders: WeakSet[Any] = field(default_factory=WeakSet)

    def close(self) -> None:
        for holder in tuple(self.holders):
            holder.release()
        self.engine = None
        self.handle = None
        self.asked.close()


class SailDevice:
    """Devices that run one model together; memory is that of the first.

    What is opened is closed in the reverse order, memory first: by `close`, when nothing refers to the device
    any more, or at the latest when the interpreter exits. What is still open then would end the process.

    Sail's own things are never locals where something may be raised: the error's traceback would keep them open.

    Attributes:
        library: what drives it.
        readings: what the devices say of themselves, by their numbers; simulated ones do not.
        memory: what is left of that of the first device, as far as it was asked for here.
        close: closes everything. Calling it again does nothing.
    """

    def __init__(self, library: SailLibrary, indices: Sequence[int], model: Path, device_bytes: int = 0) -> None:
        """Opens devices by their numbers, and loads the model.

        Args:
            library: what drives them.
            indices: their numbers.
            model: the bmodel file.
            device_bytes: what loading takes of each device's memory, as far as it is known.

        Raises:
            DeviceError: there is no device of such a number, it cannot be opened, has no room for the model, or
                cannot load the file.
        """
        self.library = library
        self._opened = _Opened()
        self.close = finalize(self, self._opened.close)
        _check_present(indices, library.device_count)
        try:
            with kept_arithmetic():  # opening a device loads more libraries
                readings = {index: self._ask(index) for index in indices}
                self._open(indices[0])
                self.readings = {} if simulates() else readings
                self.memory = MemoryBudget(indices[0], free_memory(self.readings.get(indices[0])))
                self.memory.take(device_bytes, model.name)
                self._load(indices, model)
        except BaseException:
            self.close()
            raise

    @property
    def handle(self) -> Any:
        """Of the first device.

        Raises:
            DeviceError: the device is closed.
        """
        return self._still_open(self._opened.handle)

    @property
    def engine(self) -> Any:
        """What has the networks.

        Raises:
            DeviceError: the device is closed.
        """
        return self._still_open(self._opened.engine)

    def hold(self, holder: Holder) -> None:
        """Has what holds tensors release them when the device is closed."""
        self._opened.holders.add(holder)

    def _ask(self, index: int) -> LibraryReadings:
        """By libbmlib, for sail hands on only some of what that tells."""
        bmlib = self.library.bmlib
        if bmlib is None:
            return SailReadings(index, self.library)
        handle = c_void_p()
        bmlib.bm_dev_request(handle, index)
        self._opened.asked.callback(bmlib.bm_dev_free, handle)
        return BmlibReadings(index, bmlib, handle, self.close)

    def _open(self, index: int) -> None:
        with self.library.translated(f"cannot open device {index}"):
            self._opened.handle = self.library.sail.Handle(index)

    def _load(self, indices: Sequence[int], model: Path) -> None:
        with self.library.translated(
            f"the runtime cannot load {model}: it is no bmodel for this device, or is damaged; "
            "or too few files may be open at a time (LimitNOFILE=65536 is enough)"
        ):
            self._opened.engine = self.library.sail.EngineLLM(str(model), list(indices))

    def _still_open(self, thing: Any) -> Any:
        if not self.close.alive:
            raise DeviceError("the device is closed")
        return thing


def _check_present(indices: Sequence[int], count: int) -> None:
    if not indices:
        raise DeviceError("no device is named")
    for index in indices:
        if not 0 <= index < count:
            raise DeviceError(f"there is no device {index}; this machine has {count}, counted from 0")
