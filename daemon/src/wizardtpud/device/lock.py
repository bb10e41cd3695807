"""One daemon for each device: two processes on one TPU can wedge it until the machine restarts."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from wizardtpud.errors import DeviceError

_USUAL = Path("/run/lock")
DEFAULT_DIRECTORY = _USUAL if _USUAL.is_dir() else Path(tempfile.gettempdir())
"""Where all daemons of a machine look for each other's locks."""

_EVERYBODY = 0o666  # whoever may open the device may lock it
_LONGEST = 8192  # bytes that are read of a file which anybody may have written


class Holder(msgspec.Struct):
    """What a lock file says of who holds the lock. That may be stale: the lock is the kernel's, not the text."""

    pid: int
    since: str
    serving: str

    def __str__(self) -> str:
        return f"process {self.pid} (wizardtpud, since {self.since}, serving {self.serving})"


def lock_device(directory: Path, device: int, serving: str) -> None:
    """Takes a device for this process alone, until the process ends, however it does.

    Args:
        directory: of the lock files.
        device: its number.
        serving: what for, to be told to others.

    Raises:
        DeviceError: another process has it, or its lock file cannot be used.
    """
    path = directory / f"wizardtpud-device-{device}.lock"
    try:
        descriptor = _open(path)
    except OSError as error:
        raise DeviceError(
            f"cannot use the lock file {path}: {error.strerror}; all daemons of a machine need the same "
            "lock_directory, and to be allowed to write there"
        ) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DeviceError(f"{path} is no file; remove it")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _holder(descriptor) or "another process"
        os.close(descriptor)
        raise DeviceError(f"device {device} is in use by {holder}; stop that, or choose other devices") from None
    _write(descriptor, Holder(os.getpid(), _now(), serving))


def _open(path: Path) -> int:
    """Opens a lock file, or makes one that everybody may open.

    Linux refuses O_CREAT for an existing file of somebody else in a directory like /tmp (fs.protected_regular).
    """
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK
    while True:
        try:
            return os.open(path, flags)
        except FileNotFoundError:
            pass
        try:
            descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, _EVERYBODY)
        except FileExistsError:
            continue  # another one was faster
        os.fchmod(descriptor, _EVERYBODY)  # whatever the umask
        return descriptor


def _write(descriptor: int, holder: Holder) -> None:
    content = msgspec.json.encode(holder)
    os.pwrite(descriptor, content, 0)
    os.ftruncate(descriptor, len(content))


def _holder(descriptor: int) -> Holder | None:
    """Who holds a lock, as far as that is known: it may have been taken only just now."""
    try:
        holder = msgspec.json.decode(os.pread(descriptor, _LONGEST, 0), type=Holder)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return holder if str(holder).isprintable() and Path(f"/proc/{holder.pid}").exists() else None


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
