"""A bundle on disk: opened only if every file is what the manifest says."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from wizardtpud.device.runtime import OnProgress
from wizardtpud.errors import BundleError
from wizardtpud.model import consistency
from wizardtpud.model.manifest import FORMAT, MANIFEST_NAME, TOKENIZER_NAME, FileEntry, Manifest

_CHUNK = 1 << 20
_COPY_AGAIN = "copy the bundle again, or rebuild it with wizardtpu-compile"


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files have been checked.

    Attributes:
        directory: absolute, without symbolic links.
        digest: sha256 of the manifest, which holds those of all other files: it identifies the bundle.
    """

    directory: Path
    manifest: Manifest
    digest: str

    @classmethod
    def open(cls, directory: Path, on_progress: OnProgress | None = None) -> Bundle:
        """Reads the manifest and then every file, whole, to compare it with the manifest.

        Args:
            directory: the bundle.
            on_progress: called with bytes checked and bytes in all.

        Raises:
            BundleError: something is missing, damaged, foreign or contradicts itself.
        """
        root = _resolve(directory)
        content = _read_manifest(root)
        manifest = _parse(content, root)
        consistency.check(manifest)
        _refuse_strangers(root, manifest)
        for name, entry in manifest.files.items():
            _check_size(root, name, entry)
        _check_contents(root, manifest, on_progress)
        return cls(root, manifest, hashlib.sha256(content).hexdigest())

    @property
    def tokenizer(self) -> Path:
        return self.path(TOKENIZER_NAME)

    def path(self, name: str) -> Path:
        """Where a file named in the manifest is."""
        return self.directory / name

    @property
    def size(self) -> int:
        """Bytes of all files but the manifest."""
        return sum(entry.bytes for entry in self.manifest.files.values())


def _resolve(directory: Path) -> Path:
    try:
        status = directory.stat()
    except OSError as error:
        raise BundleError(f"there is no bundle at {directory}: {error.strerror}") from error
    if not stat.S_ISDIR(status.st_mode):
        raise BundleError(
            f"{directory} is not a directory; a bundle is the directory that wizardtpu-compile wrote"
        )
    return directory.resolve()


def _read_manifest(root: Path) -> bytes:
    path = root / MANIFEST_NAME
    _check_regular(root, MANIFEST_NAME)
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}") from error


class _Versioned(msgspec.Struct):
    format: int


def _parse(content: bytes, root: Path) -> Manifest:
    """The manifest; its version is looked at first, for another one may have any shape."""
    path = root / MANIFEST_NAME
    try:
        version = msgspec.json.decode(content, type=_Versioned).format
        if version != FORMAT:
            raise BundleError(f"{path} is of format {version} and this daemon reads {FORMAT}: {_cure(version)}")
        return msgspec.json.decode(content, type=Manifest)
    except msgspec.ValidationError as error:
        raise BundleError(f"{path} is not the manifest of a bundle: {error}; rebuild the bundle") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"{path} is damaged: {error}; {_COPY_AGAIN}") from error


def _cure(version: int) -> str:
    return "a newer daemon is needed" if version > FORMAT else "rebuild the bundle with wizardtpu-compile"


def _refuse_strangers(root: Path, manifest: Manifest) -> None:
    """A file that nobody vouches for means a mixed or half-replaced bundle."""
    for folder, _, names in os.walk(root):
        for name in names:
            relative = (Path(folder) / name).relative_to(root).as_posix()
            if relative != MANIFEST_NAME and relative not in manifest.files:
                raise BundleError(f"{root}: {relative} is not in the manifest; remove it, or {_COPY_AGAIN}")


def _check_regular(root: Path, name: str) -> os.stat_result:
    """Status of a regular file that lies within the bundle, also when symbolic links are followed."""
    pure = PurePosixPath(name)
    path = root / pure
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise BundleError(f"{root}: cannot open {name!r}: {_reason(error)}; {_COPY_AGAIN}") from error
    if ".." in pure.parts or not path.resolve().is_relative_to(root):
        raise BundleError(f"{root}: {name} leads out of the bundle; rebuild it with wizardtpu-compile")
    if not stat.S_ISREG(status.st_mode):
        raise BundleError(f"{root}: {name} is not a regular file; {_COPY_AGAIN}")
    return status


def _reason(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def _check_size(root: Path, name: str, entry: FileEntry) -> None:
    size = _check_regular(root, name).st_size
    if size != entry.bytes:
        problem = "truncated" if size < entry.bytes else "too long"
        raise BundleError(f"{root}: {name} is {problem}: {size} bytes instead of {entry.bytes}; {_COPY_AGAIN}")


def _check_contents(root: Path, manifest: Manifest, on_progress: OnProgress | None) -> None:
    total = sum(entry.bytes for entry in manifest.files.values())
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if on_progress is not None:
            on_progress(done, total)

    for name, entry in manifest.files.items():
        if _sha256(root, name, advance) != entry.sha256:
            raise BundleError(f"{root}: {name} is damaged: its sha256 is not the manifest's; {_COPY_AGAIN}")


def _sha256(root: Path, name: str, advance: Callable[[int], None]) -> str:
    digest = hashlib.sha256()
    try:
        with (root / name).open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                advance(len(chunk))
    except OSError as error:
        raise BundleError(f"{root}: cannot read {name}: {error.strerror}") from error
    return digest.hexdigest()
