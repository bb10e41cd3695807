"""Open devices and their memory."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any
from weakref import finalize

from wizardtpud.device.bmrt.library import BmrtLibrary
from wizardtpud.device.bmrt.readings import readings_of
from wizardtpud.device.bmrt.structures import Memory
from wizardtpud.device.telemetry.free_memory import free_memory
from wizardtpud.device.vendor.floating_point import kept_arithmetic
from wizardtpud.device.vendor.memory_budget import MemoryBudget
from wizardtpud.errors import DeviceError

_LARGEST = 2**32 - 1  # the runtime counts bytes in 32 bits


@dataclass
class _Launches:
    """Whether there are any that nobody has waited for."""

    pending: bool = False


class Device:
    """Devices opened together; memory and copies are those of the first.

    What is opened is closed in the reverse order, memory first: by `close`, when nothing refers to the device
    any more, or at the latest when the interpreter exits. What is still open then would end the process.

    Attributes:
        library: the functions that drive it.
        handles: of the devices, in the order given.
        readings: what the devices say of themselves, by their numbers; simulated ones do not.
        memory: what is left of that of the first device, as far as it was asked for here.
        close: closes everything. Calling it again does nothing.
    """

    def __init__(self, library: BmrtLibrary, indices: Sequence[int]) -> None:
        """Opens devices by their numbers.

        Raises:
            DeviceError: there is no device of such a number, or it cannot be opened.
        """
        if not indices:
            raise DeviceError("no device is named")
        self.library = library
        self.handles = (ctypes.c_void_p * len(indices))()
        self._launches = _Launches()
        self._opened = ExitStack()
        self.close = finalize(self, _close, library, self.handles, self._opened, self._launches)
        try:
            with kept_arithmetic():  # opening a device loads more libraries
                self._open(indices)
            self.readings = readings_of(indices, library, self.handles, self.close)
            self.memory = MemoryBudget(indices[0], free_memory(self.readings.get(indices[0])))
        except BaseException:
            self.close()
            raise

    @property
    def handle(self) -> int:
        """Of the first device.

        Raises:
            DeviceError: the device is closed.
        """
        if not self.close.alive:
            raise DeviceError("the device is closed")
        return int(self.handles[0] or 0)

    def on_close(self, function: Any, *arguments: Any) -> None:
        """Has a function called by `close`, before those named earlier."""
        self._opened.callback(function, *arguments)

    def allocate(self, size: int) -> Memory:
        """Memory of `size` bytes, freed by `close`. What it holds is not known.

        Raises:
            DeviceError: the device has no room for it.
        """
        if not 0 < size <= _LARGEST:
            raise DeviceError(f"cannot allocate {size} bytes: one tensor takes 1 to {_LARGEST} bytes")
        self.memory.take(size, "a tensor")
        memory, bmlib = Memory(), self.library.bmlib
        try:
            bmlib.bm_malloc_device_byte(self.handle, memory, size)
        except DeviceError as error:
            raise DeviceError(f"cannot allocate {size} bytes of device memory: {error}") from error
        self.on_close(bmlib.bm_free_device, self.handle, memory)
        return memory

    def write(self, memory: Memory, source: int) -> None:
        """Fills memory with the bytes at a host address."""
        self._wait()
        self.library.bmlib.bm_memcpy_s2d(self.handle, memory, source)

    def read(self, memory: Memory, target: int) -> None:
        """Copies memory to a host address."""
        self._wait()
        self.library.bmlib.bm_memcpy_d2s(self.handle, target, memory)

    def copy(self, source: Memory, target: Memory) -> None:
        """Copies memory to other memory of the same size."""
        self._wait()
        self.library.bmlib.bm_memcpy_d2d_byte(self.handle, target, 0, source, 0, source.size)

    def launched(self) -> None:
        """Takes note of a launch, which the next copy waits for. Launches themselves are done in their order."""
        self._launches.pending = True

    def _wait(self) -> None:
        if self._launches.pending:
            self._launches.pending = False
            for handle in self.handles:
                self.library.bmlib.bm_thread_sync(handle)

    def _open(self, indices: Sequence[int]) -> None:
        count = self.library.device_count()
        for place, index in enumerate(indices):
            # Asking the library for a device that is not there ends the process.
            if not 0 <= index < count:
                raise DeviceError(f"there is no device {index}; this machine has {count}, counted from 0")
            handle = ctypes.c_void_p()
            self.library.bmlib.bm_dev_request(handle, index)
            self.on_close(self.library.bmlib.bm_dev_free, handle)
            self.handles[place] = handle


def _close(library: BmrtLibrary, handles: Any, opened: ExitStack, launches: _Launches) -> None:
    """Waits for what is still launched, whose memory is about to go, and closes everything.

    The simulator ends a process that waits in a thread which has not launched anything.
    """
    for handle in handles if launches.pending else ():
        with suppress(DeviceError):  # the device may be why everything is closed
            library.bmlib.bm_thread_sync(handle)
    opened.close()
