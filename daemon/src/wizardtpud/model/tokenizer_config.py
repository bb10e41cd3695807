"""`tokenizer_config.json`, in which a model names its special tokens and may have its chat template."""

from __future__ import annotations

from pathlib import Path

import msgspec

from wizardtpud.model.text_file import read_json

_NAME = "tokenizer_config.json"


class _Template(msgspec.Struct):
    name: str
    template: str


class _Token(msgspec.Struct):
    content: str


class TokenizerConfig(msgspec.Struct, frozen=True):
    """The keys that are read of it; a token is its text, or an object that has it."""

    chat_template: str | list[_Template] | None = None
    bos_token: str | _Token | None = None
    eos_token: str | _Token | None = None
    pad_token: str | _Token | None = None
    unk_token: str | _Token | None = None

    @classmethod
    def read(cls, directory: Path) -> TokenizerConfig:
        """That of a model's directory, an empty one if there is none.

        Raises:
            BundleError: it is not what it should be.
        """
        path = directory / _NAME
        return read_json(path, cls) if path.is_file() else cls()

    @property
    def special_tokens(self) -> dict[str, str]:
        """Their texts, by the names that chat templates use; empty for a token that the model has not."""
        tokens = {name: getattr(self, name) for name in ("bos_token", "eos_token", "pad_token", "unk_token")}
        return {name: _text(token) for name, token in tokens.items()}

    @property
    def default_template(self) -> str | None:
        """The chat template; of several the one of this name."""
        if isinstance(self.chat_template, list):
            return next((named.template for named in self.chat_template if named.name == "default"), None)
        return self.chat_template


def _text(token: str | _Token | None) -> str:
    return token.content if isinstance(token, _Token) else token or ""
