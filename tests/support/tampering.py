"""Making a sound bundle unsound."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"


def edit_manifest(bundle: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Changes the manifest in place."""
    path = bundle / MANIFEST
    manifest = json.loads(path.read_bytes())
    edit(manifest)
    path.write_text(json.dumps(manifest))


def replace_file(bundle: Path, name: str, content: bytes) -> None:
    """Puts another content into a file and vouches for it in the manifest."""
    (bundle / name).write_bytes(content)
    entry = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    edit_manifest(bundle, lambda manifest: manifest["files"].update({name: entry}))


def flip_bit(path: Path) -> None:
    """Damages a file as a bad disk would: its size stays."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path, count: int = 100) -> None:
    """Takes the last bytes off a file."""
    path.write_bytes(path.read_bytes()[:-count])
