"""A manifest in memory for a directory that has none."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from wizardtpud.device.runtime import OnProgress
from wizardtpud.model.files import check_regular, digests
from wizardtpud.model.foreign.model import BMODEL_PATTERN, ForeignModel
from wizardtpud.model.manifest import MANIFEST_NAME, FileEntry, Manifest
from wizardtpud.observability.logging import log


def is_foreign(root: Path) -> bool:
    """Whether a directory holds a bmodel and no manifest."""
    return not os.path.lexists(root / MANIFEST_NAME) and any(root.glob(BMODEL_PATTERN))


def adopt(root: Path, on_progress: OnProgress | None) -> Manifest:
    """The manifest of a model as llm_convert.py leaves it. Its files are hashed, so that it identifies the model.

    Args:
        root: the directory, absolute, without symbolic links.
        on_progress: called with bytes hashed and bytes in all.

    Raises:
        BundleError: a file is missing, damaged, or does not go with the others; says what to do.
    """
    found = ForeignModel.find(root)
    check_regular(root, found.bmodel.name)
    manifest = found.manifest(root.name)
    names = [path.relative_to(root).as_posix() for path in (found.bmodel, found.tokenizer)]
    sizes = {name: check_regular(root, name).st_size for name in names}
    files = {name: FileEntry(sizes[name], digest) for name, digest in digests(root, sizes, on_progress)}
    log.warning(
        f"{root} has no manifest: nobody vouches for its files; make a bundle of it with: "
        f"wizardtpu-compile import {found.bmodel} {found.config} -o BUNDLE"
    )
    return msgspec.structs.replace(manifest, files=files)
