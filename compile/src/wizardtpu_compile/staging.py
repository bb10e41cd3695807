"""A directory that appears whole or not at all, whatever ends the process."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from wizardtpud.model.manifest import MANIFEST_NAME

from wizardtpu_compile.disk import sync, sync_tree
from wizardtpu_compile.errors import OutputError


def check_output(output: Path, force: bool) -> None:
    """Refuses an output path that holds anything but, with `force`, a bundle to replace.

    Raises:
        OutputError: says what is there.
    """
    if not os.path.lexists(output):
        return
    if output.is_symlink() or not output.is_dir():
        raise OutputError(f"{output} exists and is not a plain directory")
    if not any(output.iterdir()):
        return
    if not (output / MANIFEST_NAME).is_file():
        raise OutputError(f"{output} holds something that is not a bundle; choose another path")
    if not force:
        raise OutputError(f"{output} holds a bundle already; --force replaces it")


@contextmanager
def staged(output: Path, check: Callable[[], None]) -> Iterator[Path]:
    """An empty directory beside `output` that takes its place when the block ends, and vanishes if it raises.

    What a killed process left is removed first. The directory is locked while it is in use, so that two processes
    that make one output cannot meet in it; the lock goes with the process. `check` is to raise if the output must
    not be replaced: it is called at the beginning, and at the end.

    Raises:
        OutputError: another build or install of the same is running output.
    """
    check()
    output.parent.mkdir(parents=True, exist_ok=True)
    staging, replaced = (output.parent / f".{output.name}.{end}" for end in ("partial", "replaced"))
    with _locked(staging):
        _restore(output, replaced)
        _empty(staging)
        try:
            yield staging
            sync_tree(staging)
            check()
            _exchange(staging, output, replaced)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            _restore(output, replaced)
            raise


@contextmanager
def _locked(staging: Path) -> Iterator[None]:
    staging.mkdir(exist_ok=True)
    descriptor = os.open(staging, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if not _lock(descriptor, staging):
            raise OutputError(f"{staging} is in use: another build or install of the same is running")
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, staging: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    # Since it was opened, another process may have finished and renamed the directory away.
    return staging.exists() and os.path.samestat(os.fstat(descriptor), staging.stat())


def _restore(output: Path, replaced: Path) -> None:
    """Ends an exchange that was cut short: the old one comes back, or goes if the new one is in place."""
    if not replaced.exists():
        return
    if os.path.lexists(output):
        shutil.rmtree(replaced)
    else:
        replaced.rename(output)


def _exchange(staging: Path, output: Path, replaced: Path) -> None:
    if output.exists():
        output.rename(replaced)
    staging.rename(output)
    sync(output.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def _empty(directory: Path) -> None:
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
