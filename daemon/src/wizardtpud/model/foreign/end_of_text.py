"""The tokens that end an answer of a foreign model."""

from __future__ import annotations

from pathlib import Path

import msgspec

from wizardtpud.errors import BundleError
from wizardtpud.model.foreign.config import CONFIG_NAME
from wizardtpud.model.manifest import TOKENIZER_NAME
from wizardtpud.model.text_file import read_json
from wizardtpud.model.tokenizer_config import TokenizerConfig

GENERATION_CONFIG_NAME = "generation_config.json"


class _EndOfText(msgspec.Struct):
    eos_token_id: int | list[int] | None = None


class _AddedToken(msgspec.Struct):
    id: int
    content: str


class _Tokenizer(msgspec.Struct):
    added_tokens: list[_AddedToken] = []


def read_end_of_text(directory: Path, vocabulary: int) -> list[int]:
    """All that generation_config.json, config.json and tokenizer_config.json name, each once.

    They seldom agree: a chat model ends its turn with one token, and was trained from a model that ended its text
    with another.

    Raises:
        BundleError: they name none, or one beyond the vocabulary, or a file is not as it should be.
    """
    ids = [i for name in (GENERATION_CONFIG_NAME, CONFIG_NAME) for i in _named_ids(directory / name)]
    ids += _token_ids(directory)
    if not ids:
        raise BundleError(
            f"{directory}: no token ends an answer; write eos_token_id into {GENERATION_CONFIG_NAME}"
        )
    if beyond := [i for i in ids if not 0 <= i < vocabulary]:
        raise BundleError(
            f"{directory}: token {beyond[0]} ends an answer, but the model's token ids end at {vocabulary - 1}: "
            "its files are of different models; copy all of them from one"
        )
    return list(dict.fromkeys(ids))


def _named_ids(path: Path) -> list[int]:
    if not path.is_file():
        return []
    value = read_json(path, _EndOfText).eos_token_id
    return value if isinstance(value, list) else [] if value is None else [value]


def _token_ids(directory: Path) -> list[int]:
    """The id of the token that tokenizer_config.json names."""
    text = TokenizerConfig.read(directory).special_tokens["eos_token"]
    if not text:
        return []
    path = directory / TOKENIZER_NAME
    ids = [token.id for token in read_json(path, _Tokenizer).added_tokens if token.content == text]
    if not ids:
        raise BundleError(
            f"{path} is of another model: it has no {text!r}, which tokenizer_config.json names as eos_token; "
            "copy both from one model"
        )
    return ids
