"""Files that appear whole, and waiting until they are on the disk: they survive whatever ends the machine."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

_CANNOT_LINK = (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK)
_CHUNK = 4 << 20


def sync(path: Path) -> None:
    """Waits until a file, or which names a directory has, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(directory: Path) -> None:
    """Waits until all files below a directory, and itself, are on the disk."""
    for folder, _, names in os.walk(directory):
        for name in names:
            if not (Path(folder) / name).is_symlink():
                sync(Path(folder) / name)
        sync(Path(folder))


def put(made: Path, place: Path) -> None:
    """Gives a whole file its name, once it is on the disk; both are on one file system."""
    sync(made)
    made.replace(place)


def link_or_copy(file: Path, place: Path, advance: Callable[[int], None] = lambda _: None) -> None:
    """Gives a file a second name, or makes a copy where the file system has no such thing.

    Args:
        file: what symbolic links lead to is meant.
        place: the second name.
        advance: called with the bytes of every part that was copied.
    """
    try:
        os.link(file.resolve(), place)
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        _copy(file, place, advance)


def _copy(file: Path, place: Path, advance: Callable[[int], None]) -> None:
    with file.open("rb") as source, place.open("wb") as target:
        while chunk := source.read(_CHUNK):
            target.write(chunk)
            advance(len(chunk))
