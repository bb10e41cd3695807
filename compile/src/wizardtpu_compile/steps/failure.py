"""What a person is told when a step fails."""

from __future__ import annotations

import errno
import os
import shutil
import traceback
from pathlib import Path

from wizardtpud.errors import BundleError

from wizardtpu_compile.errors import CompileError, StepError, reason

_LINES_TOLD = 15
_LINE_LENGTH = 300
_LOOKED_AT = 64 * 1024  # bytes at the end of a log
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
_DISK_FULL_TEXTS = tuple(os.strerror(number) for number in _DISK_FULL)


def step_error(name: str, error: BaseException, log: Path, outlook: str) -> StepError:
    """The error of a step with its cause, the end of its log, and what to do.

    Args:
        name: of the step.
        error: what it raised.
        log: its log; the traceback of an error that nobody foresaw is added to it.
        outlook: what becomes of the files of all steps.
    """
    if not isinstance(error, (CompileError, BundleError, OSError, MemoryError)):
        _write_traceback(error, log)
    told = [f"step {name} failed: {_cause(error)}"]
    lines = _last_lines(log)
    if str(log) not in told[0] and lines:
        told += [*(f"  {line}" for line in lines), f"its whole log is in {log}"]
    if _is_disk_full(error, lines):
        told.append(_disk(error, log))
    return StepError("\n".join([*told, outlook]))


def _cause(error: BaseException) -> str:
    if isinstance(error, (CompileError, BundleError)):
        return str(error)
    if isinstance(error, OSError):
        return reason(error)
    if isinstance(error, MemoryError):
        return "there is not enough memory; run fewer jobs at once"
    return f"{type(error).__name__}: {error}"


def _write_traceback(error: BaseException, log: Path) -> None:
    try:
        with log.open("a", encoding="utf-8") as file:
            file.writelines(traceback.format_exception(type(error), error, error.__traceback__))
    except OSError:  # the error itself matters more
        return


def _last_lines(log: Path) -> list[str]:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOOKED_AT))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    lines = [line.rstrip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return [line[:_LINE_LENGTH] for line in lines[-_LINES_TOLD:]]


def _is_disk_full(error: BaseException, lines: list[str]) -> bool:
    """Programs tell in their own words, which end with the system's."""
    if isinstance(error, OSError):
        return error.errno in _DISK_FULL
    return any(text in line for text in _DISK_FULL_TEXTS for line in (str(error), *lines))


def _disk(error: BaseException, log: Path) -> str:
    """The file system of the file that could not be written, or else that of the step."""
    file = getattr(error, "filename", None)
    place = Path(os.fsdecode(file)) if isinstance(file, (str, bytes, os.PathLike)) else log
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    while not place.is_mount():
        place = place.absolute().parent
    return f"the file system {place} is full: {free / 1e9:.2f} GB are free; make room there"
