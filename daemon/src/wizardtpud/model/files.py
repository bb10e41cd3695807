"""Files of a bundle: that they lie within it, and what they hold."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from wizardtpud.device.runtime import OnProgress
from wizardtpud.errors import BundleError

COPY_AGAIN = "copy the bundle again, or rebuild it with wizardtpu-compile"
_CHUNK = 1 << 20


def check_regular(root: Path, name: str) -> os.stat_result:
    """Status of a regular file that lies within the bundle, also when symbolic links are followed.

    Raises:
        BundleError: it is not there, not regular, or elsewhere.
    """
    pure = PurePosixPath(name)
    path = root / pure
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise BundleError(f"{root}: cannot open {name!r}: {_reason(error)}; {COPY_AGAIN}") from error
    if ".." in pure.parts or not path.resolve().is_relative_to(root):
        raise BundleError(f"{root}: {name} leads out of the bundle; rebuild it with wizardtpu-compile")
    if not stat.S_ISREG(status.st_mode):
        raise BundleError(f"{root}: {name} is not a regular file; {COPY_AGAIN}")
    return status


def digests(root: Path, sizes: Mapping[str, int], on_progress: OnProgress | None) -> Iterator[tuple[str, str]]:
    """Names of files and the sha256 of each, in hexadecimal, as they are read whole.

    Args:
        root: the bundle.
        sizes: bytes of each file.
        on_progress: called with bytes read and bytes in all.

    Raises:
        BundleError: one cannot be read.
    """
    done, total = 0, sum(sizes.values())
    for name in sizes:
        digest = hashlib.sha256()
        for chunk in _chunks(root, name):
            digest.update(chunk)
            done += len(chunk)
            if on_progress is not None:
                on_progress(done, total)
        yield name, digest.hexdigest()


def _chunks(root: Path, name: str) -> Iterator[bytes]:
    try:
        with (root / name).open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except OSError as error:
        raise BundleError(f"{root}: cannot read {name}: {error.strerror}") from error


def _reason(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
