"""Writes the files of a bundle and keeps account of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
from wizardtpud.device.runtime import OnProgress
from wizardtpud.model.files import digests
from wizardtpud.model.manifest import MANIFEST_NAME, FileEntry, Manifest


class BundleWriter:
    """Puts files into a directory; the manifest, written last, vouches for them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.files: dict[str, FileEntry] = {}

    def add(self, name: str, content: bytes) -> Path:
        """Writes a file under its name in the bundle, with ``/`` between directories."""
        path = self._directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        self.files[name] = FileEntry(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        return path

    def account(self, name: str, on_progress: OnProgress | None = None) -> None:
        """Counts a file that is there already; `on_progress` hears of bytes hashed, and bytes in all."""
        size = (self._directory / name).stat().st_size
        ((_, sha256),) = digests(self._directory, {name: size}, on_progress)
        self.files[name] = FileEntry(bytes=size, sha256=sha256)

    def finish(self, manifest: Manifest) -> None:
        encoded = msgspec.json.encode(manifest)
        (self._directory / MANIFEST_NAME).write_bytes(msgspec.json.format(encoded, indent=1) + b"\n")
