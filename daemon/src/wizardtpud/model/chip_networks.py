"""The networks in the bmodel of a bundle: that they are those its manifest speaks of."""

from __future__ import annotations

from pathlib import Path

from wizardtpud.errors import BundleError
from wizardtpud.model.bmodel.model import Model
from wizardtpud.model.bmodel.target import read_for_chip
from wizardtpud.model.foreign.config import check_numbers
from wizardtpud.model.foreign.discovery import discover
from wizardtpud.model.manifest import Manifest


def check_networks(path: Path, manifest: Manifest) -> None:
    """Compares a bmodel with the manifest of its bundle.

    Raises:
        BundleError: it is for another chip or number of devices, or its networks are of another model.
    """
    model = read_for_chip(path)
    try:
        _check(model, manifest)
    except BundleError as error:
        raise BundleError(f"{path}: {error}; rebuild the bundle with wizardtpu-compile") from None


def _check(model: Model, manifest: Manifest) -> None:
    if model.devices != manifest.devices:
        raise BundleError(f"it is for {model.devices} devices, and the manifest says {manifest.devices}")
    if manifest.layout == "wizardtpu":
        if missing := {entry.name for entry in manifest.networks} - model.networks.keys():
            raise BundleError(f"it has no network {min(missing)}")
        return
    found = discover(model)
    if found.layout != manifest.layout:
        raise BundleError(f"its layout is {found.layout}, and the manifest says {manifest.layout}")
    check_numbers(manifest.architecture, manifest.context, found.numbers)
    if manifest.sampling and found.numbers.vocabulary is None:
        raise BundleError("it gives tokens and no logits, and the manifest says that there is sampling")
