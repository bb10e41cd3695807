"""A bundle on disk: opened only if every file is what the manifest says."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from wizardtpud.device.runtime import OnProgress
from wizardtpud.errors import BundleError
from wizardtpud.model import consistency
from wizardtpud.model.bmodel.reading import read_model
from wizardtpud.model.chip_networks import check_networks
from wizardtpud.model.files import COPY_AGAIN, check_regular, digests
from wizardtpud.model.foreign import adoption
from wizardtpud.model.manifest import FORMAT, MANIFEST_NAME, TOKENIZER_NAME, FileEntry, Manifest


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files have been checked.

    Attributes:
        directory: absolute, without symbolic links.
        digest: sha256 of the manifest, which holds those of all other files: it identifies the bundle. Where
            there is no manifest, it is that of the one which was made.
    """

    directory: Path
    manifest: Manifest
    digest: str

    @classmethod
    def open(cls, directory: Path, on_progress: OnProgress | None = None) -> Bundle:
        """Reads the manifest and then every file, whole, to compare it with the manifest.

        Args:
            directory: the bundle, or a model as llm_convert.py leaves it: for that a manifest is made in memory.
            on_progress: called with bytes checked and bytes in all.

        Raises:
            BundleError: something is missing, damaged, foreign or contradicts itself.
        """
        root = _resolve(directory)
        if adoption.is_foreign(root):
            made = adoption.adopt(root, on_progress)
            return cls(root, made, hashlib.sha256(msgspec.json.encode(made)).hexdigest())
        content = _read_manifest(root)
        manifest = _parse(content, root)
        consistency.check(manifest)
        _refuse_strangers(root, manifest)
        for name, entry in manifest.files.items():
            _check_size(root, name, entry)
        _check_contents(root, manifest, on_progress)
        bundle = cls(root, manifest, hashlib.sha256(content).hexdigest())
        if manifest.target == "bm1684x":
            check_networks(bundle.bmodel, manifest)
        return bundle

    @property
    def tokenizer(self) -> Path:
        name = next(name for name in self.manifest.files if PurePosixPath(name).name == TOKENIZER_NAME)
        return self.path(name)

    @property
    def bmodel(self) -> Path:
        """The one file that holds the networks of a bundle for a chip.

        Raises:
            BundleError: there are several.
        """
        listed = {entry.file for entry in self.manifest.networks}
        names = listed or {name for name in self.manifest.files if name.endswith(".bmodel")}
        if len(names) != 1:
            raise BundleError(f"the networks of {self.directory} are in {len(names)} files, and a chip loads one")
        return self.path(names.pop())

    @property
    def device_bytes(self) -> int:
        """Memory that loading a bundle for a chip takes on each of its devices, without caches.

        Raises:
            BundleError: the manifest does not tell, and the bmodel cannot be read.
        """
        return self.manifest.device_bytes or read_model(self.bmodel).device_bytes

    @property
    def unshared_device_bytes(self) -> int:
        """The same, for a runtime whose networks do not share their scratch memory.

        Raises:
            BundleError: the bmodel cannot be read.
        """
        return read_model(self.bmodel).unshared_device_bytes

    def path(self, name: str) -> Path:
        """Where a file named in the manifest is."""
        return self.directory / name


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
    check_regular(root, MANIFEST_NAME)
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
        raise BundleError(f"{path} is damaged: {error}; {COPY_AGAIN}") from error


def _cure(version: int) -> str:
    return "a newer daemon is needed" if version > FORMAT else "rebuild the bundle with wizardtpu-compile"


def _refuse_strangers(root: Path, manifest: Manifest) -> None:
    """A file that nobody vouches for means a mixed or half-replaced bundle."""
    for folder, _, names in os.walk(root):
        for name in names:
            relative = (Path(folder) / name).relative_to(root).as_posix()
            if relative != MANIFEST_NAME and relative not in manifest.files:
                raise BundleError(f"{root}: {relative} is not in the manifest; remove it, or {COPY_AGAIN}")


def _check_size(root: Path, name: str, entry: FileEntry) -> None:
    size = check_regular(root, name).st_size
    if size != entry.bytes:
        problem = "truncated" if size < entry.bytes else "too long"
        raise BundleError(f"{root}: {name} is {problem}: {size} bytes instead of {entry.bytes}; {COPY_AGAIN}")


def _check_contents(root: Path, manifest: Manifest, on_progress: OnProgress | None) -> None:
    sizes = {name: entry.bytes for name, entry in manifest.files.items()}
    for name, digest in digests(root, sizes, on_progress):
        if digest != manifest.files[name].sha256:
            raise BundleError(f"{root}: {name} is damaged: its sha256 is not the manifest's; {COPY_AGAIN}")
