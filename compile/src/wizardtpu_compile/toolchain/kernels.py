"""Kernels that a network needs are compiled with it; here they are kept for the next network.

The vendor's own cache is not safe to share: it remembers failures for good (cmake was missing once) and deletes
kernels that others may be using when there are a hundred. So each compile gets a cache of its own, filled from the
kernels kept, and what it adds is kept when it succeeds.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wizardtpu_compile.disk import sync_tree

_WHOLE = "compiled"  # the vendor's mark: an empty file, written when the kernel's library is there
_LIBRARY = "lib"
_UNLIMITED = "1000000"


@contextmanager
def kernel_cache(kept: Path) -> Iterator[dict[str, str]]:
    """The variables that give the toolchain's programs a cache of their own, which is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="wizardtpu-kernels-", ignore_cleanup_errors=True) as name:
        cache = Path(name)
        _fill(cache, kept)
        try:
            yield {"PPL_CACHE_PATH": name, "PPL_WORK_PATH": name, "HOME": name, "CACHE_ITEMS": _UNLIMITED}
            _keep(cache, kept)
        finally:
            _remove_locks(cache)


def _fill(cache: Path, kept: Path) -> None:
    if kept.is_dir():
        for kernel in _whole_kernels(kept):
            (cache / kernel.name).symlink_to(kernel)


def _keep(cache: Path, kept: Path) -> None:
    """Copies new kernels; an install that cannot be written to stays as it is."""
    for kernel in _whole_kernels(cache):
        if not kernel.is_symlink() and os.access(kept, os.W_OK):
            _copy_whole(kernel, kept / kernel.name)


def _copy_whole(kernel: Path, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".partial-") as name:
        copy = Path(name) / target.name
        shutil.copytree(kernel / _LIBRARY, copy / _LIBRARY)
        sync_tree(copy / _LIBRARY)
        (copy / _WHOLE).touch()
        try:
            copy.rename(target)
        except OSError:  # another process has kept the same kernel meanwhile
            if not (target / _WHOLE).exists():
                raise


def _whole_kernels(directory: Path) -> list[Path]:
    return [path for path in directory.iterdir() if path.name.isdecimal() and (path / _WHOLE).exists()]


def _remove_locks(cache: Path) -> None:
    """The vendor locks a kernel by a file it leaves in /tmp, over which another user's compile would stumble."""
    keys = {path.name for path in cache.iterdir() if path.name.isdecimal() and not path.is_symlink()}
    flags = cache / "flag.txt"
    if flags.exists():  # one line for each kernel: its key, and how compiling it ended
        keys |= {line.split()[0] for line in flags.read_text(encoding="utf-8").splitlines() if line.strip()}
    for key in keys:
        with suppress(OSError):  # gone already, or another user's
            Path("/tmp", f"ppl_{key}.lock").unlink()  # noqa: S108
