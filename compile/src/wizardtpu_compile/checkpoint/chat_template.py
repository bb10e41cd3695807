"""The chat template that a checkpoint brings along."""

from __future__ import annotations

from pathlib import Path

import msgspec

from wizardtpu_compile.errors import CheckpointError

TEMPLATE_NAME = "chat_template.jinja"
TOKENIZER_CONFIG_NAME = "tokenizer_config.json"


class _Named(msgspec.Struct):
    name: str
    template: str


class _TokenizerConfig(msgspec.Struct):
    chat_template: str | list[_Named] | None = None


def read_chat_template(directory: Path) -> str | None:
    """Jinja source from chat_template.jinja or tokenizer_config.json (of several, the one named default).

    Raises:
        CheckpointError: a file is there but not as it should be.
    """
    try:
        if (directory / TEMPLATE_NAME).is_file():
            return (directory / TEMPLATE_NAME).read_text(encoding="utf-8")
        path = directory / TOKENIZER_CONFIG_NAME
        if not path.is_file():
            return None
        template = msgspec.json.decode(path.read_bytes(), type=_TokenizerConfig).chat_template
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{directory}: the chat template cannot be read: {error}") from None
    if isinstance(template, list):
        return next((named.template for named in template if named.name == "default"), None)
    return template
