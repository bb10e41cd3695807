"""What a build takes of the disk while it runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from wizardtpu_compile.targets.tpu.plan import MODEL_NAME

_BLOCK = 512  # bytes; the unit of st_blocks everywhere


class DiskWatch:
    """Adds up the space that the files in a directory take, whenever it is called, and keeps the highest sums.

    Attributes:
        peak: bytes of all files.
        peak_of_blocks: bytes of all files but the bundle's own and those of the embedding: what layers and heads
            need besides the bundle.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.peak = self.peak_of_blocks = 0

    def __call__(self) -> None:
        sizes = dict(_files(self._directory))  # by inode: two links to a file take its space once
        self.peak = max(self.peak, sum(size for _, size in sizes.values()))
        self.peak_of_blocks = max(self.peak_of_blocks, sum(size for path, size in sizes.values() if _passes(path)))


def _passes(path: Path) -> bool:
    return path.name != MODEL_NAME and not path.parent.name.startswith("embedding")


def _files(directory: Path) -> Iterator[tuple[int, tuple[Path, int]]]:
    """Inode, path and bytes of each; files come and go meanwhile."""
    for place, _, names in os.walk(directory):
        for name in names:
            path = Path(place, name)
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue
            yield status.st_ino, (path, status.st_blocks * _BLOCK)
