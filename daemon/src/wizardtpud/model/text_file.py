"""Small files of text and JSON that came with a model."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from wizardtpud.errors import BundleError

T = TypeVar("T")


def read_text(path: Path) -> str:
    """What a file says.

    Raises:
        BundleError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}; copy it from where the model is whole") from None
    except UnicodeDecodeError as error:
        raise BundleError(f"{path} is damaged: {error}; copy it again") from None


def read_json(path: Path, kind: type[T]) -> T:
    """What a file of JSON says, as far as `kind` asks for it.

    Raises:
        BundleError: it cannot be read, or is not JSON of this kind.
    """
    try:
        return msgspec.json.decode(read_text(path), type=kind)
    except msgspec.ValidationError as error:
        raise BundleError(f"{path}: {error}; copy it from where the model is whole") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise BundleError(f"{path} is damaged: {error}; copy it again") from None
