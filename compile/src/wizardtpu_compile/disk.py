"""Waiting until what was written is on the disk, so that it survives whatever ends the machine."""

from __future__ import annotations

import os
from pathlib import Path


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
