"""Bmodels that this daemon can drive."""

from __future__ import annotations

from pathlib import Path

from wizardtpud.errors import BundleError
from wizardtpud.model.bmodel.model import Model
from wizardtpud.model.bmodel.reading import read_model

CHIP = "BM1684X"
"""As the vendor's compiler writes it."""


def read_for_chip(path: Path) -> Model:
    """The networks of a bmodel.

    Raises:
        BundleError: it cannot be read, is no bmodel, damaged, or for another chip.
    """
    try:
        model = read_model(path)
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from None
    if model.chip != CHIP:
        raise BundleError(f"{path} is for the chip {model.chip!r}, not for a {CHIP}; compile it for that one")
    return model
