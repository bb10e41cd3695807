"""One device's telemetry, for every thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic

from wizardtpud.device.telemetry.file_readings import FileReadings, find_files
from wizardtpud.device.telemetry.library_readings import LibraryReadings
from wizardtpud.observability.device_reading import DeviceReading

_INTERVAL = 1.0  # seconds; the driver itself looks at its sensors no more often


class Telemetry:
    """What the driver's files and the vendor's library say of a device.

    `refresh` belongs to the thread that owns the device; the rest may be called from any thread, and does not
    touch the library. Files win where both know something: they are read when asked, while the library was asked
    some time before.

    Args:
        device: its number.
        files: from `find_files`; none for a device that is simulated, for they would be those of another.
        library: none for a device that is simulated, of which libraries tell nonsense.
        clock: seconds, never going backwards.

    Attributes:
        fault: whether the device is not to be trusted any more, as the last `refresh` found.
    """

    def __init__(
        self,
        device: int,
        files: FileReadings | None = None,
        library: LibraryReadings | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._files = files
        self._library = library
        self._clock = clock
        self._nothing = self._latest = DeviceReading(device)
        self._due = clock()
        self.fault = False

    def refresh(self) -> None:
        """Asks the library, and for faults, if the last time is a second ago: for calls between any two steps."""
        now = self._clock()
        if now < self._due:
            return
        self._due = now + _INTERVAL
        if self._library is not None:
            self._latest = self._library.read()
        self.fault = bool(self._latest.fault or (self._files is not None and self._files.fault()))

    def read(self) -> DeviceReading:
        """What the files say now and the library said last."""
        return (self._nothing if self._files is None else self._files.read()).completed_by(self._latest)


def telemetry_of(
    devices: Sequence[int], readings: Mapping[int, LibraryReadings], root: Path = Path("/")
) -> tuple[Telemetry, ...]:
    """The telemetry of devices.

    Args:
        devices: their numbers.
        readings: of their library, by their numbers; simulated devices have none.
        root: of the file system with `proc` and `sys`.
    """
    return tuple(
        Telemetry(device, find_files(device, root), readings[device]) if device in readings else Telemetry(device)
        for device in devices
    )
