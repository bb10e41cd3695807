"""What is remembered of a step that is done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from wizardtpu_compile.disk import put, sync
from wizardtpu_compile.steps.step import PEAK_MEMORY

RECORD_NAME = "done.json"
LOG_NAME = "log.txt"
_PARTIAL_NAME = ".done.json.partial"


@dataclass(frozen=True)
class StepRecord:
    """A step that is done.

    Attributes:
        digest: what it was done for, see `Plan.digests`.
        seconds: how long it took.
        files: what it made, size in bytes by path below its directory.
        report: what it told.
    """

    digest: str
    seconds: float
    files: dict[str, int]
    report: dict[str, Any]

    @property
    def peak_memory(self) -> int | None:
        """Bytes, if the step told."""
        return self.report.get(PEAK_MEMORY)

    @classmethod
    def read(cls, directory: Path) -> StepRecord | None:
        """The record in a step's directory; a damaged one is none."""
        try:
            return msgspec.json.decode((directory / RECORD_NAME).read_bytes(), type=cls)
        except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError, UnicodeDecodeError):
            return None

    def write(self, directory: Path) -> None:
        """Puts it into a step's directory, whole or not at all; the step's files are on the disk already."""
        partial = directory / _PARTIAL_NAME
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")
        put(partial, directory / RECORD_NAME)
        sync(directory)

    def has_files(self, directory: Path) -> bool:
        """Whether all files that the step made are still in its directory."""
        return all(_size(directory / name) == size for name, size in self.files.items())


def made_in(directory: Path) -> dict[str, int]:
    """The files of a step, without its log and its record, and their sizes in bytes."""
    found = (path for path in sorted(directory.rglob("*")) if path.is_file() and not path.is_symlink())
    files = {str(path.relative_to(directory)): path.stat().st_size for path in found}
    return {name: size for name, size in files.items() if name not in {LOG_NAME, RECORD_NAME, _PARTIAL_NAME}}


def _size(path: Path) -> int | None:
    try:
        return path.lstat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None
