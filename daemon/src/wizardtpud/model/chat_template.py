"""The chat template that a model brings along, and that of the WizardCoder family.

WizardCoder's single-turn text is the one published with WizardCoder-15B-V1.0; further turns repeat the
instruction/response pair after the answer, and a leading system message replaces the preamble.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from wizardtpud.model.text_file import read_json, read_text
from wizardtpud.model.tokenizer_config import TokenizerConfig

WIZARDCODER_CHAT_TEMPLATE = (
    "{%- if messages[0].role == 'system' -%}{{ messages[0].content }}"
    "{%- else -%}Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.{%- endif -%}"
    "{%- for message in messages -%}"
    "{%- if message.role == 'user' -%}"
    "{{ '\\n\\n### Instruction:\\n' + message.content + '\\n\\n### Response:' }}"
    "{%- elif message.role == 'assistant' -%}{{ message.content }}{%- endif -%}"
    "{%- endfor -%}"
)
CHAT_TEMPLATE_NAME = "chat_template.jinja"
"""Where a template is by itself; newer models have it there."""

_JSON_NAME = "chat_template.json"


class _TemplateFile(msgspec.Struct):
    chat_template: str


def read_chat_template(directory: Path) -> str | None:
    """Jinja source from chat_template.jinja, chat_template.json or tokenizer_config.json.

    Of several named ones it is the default. Special tokens that it speaks of, such as ``bos_token``, are set to
    what tokenizer_config.json says, or to nothing, so that it needs no other file.

    Raises:
        BundleError: a file is there but not as it should be.
    """
    config = TokenizerConfig.read(directory)
    source = _source(directory, config)
    return None if source is None else _definitions(source, config) + source


def _source(directory: Path, config: TokenizerConfig) -> str | None:
    if (directory / CHAT_TEMPLATE_NAME).is_file():
        return read_text(directory / CHAT_TEMPLATE_NAME)
    if (directory / _JSON_NAME).is_file():
        return read_json(directory / _JSON_NAME, _TemplateFile).chat_template
    return config.default_template


def _definitions(source: str, config: TokenizerConfig) -> str:
    """A line of Jinja for each special token; the environment takes the line's end away."""
    used = {name: text for name, text in config.special_tokens.items() if name in source}
    return "".join(f"{{% set {name} = {json.dumps(text, ensure_ascii=False)} %}}\n" for name, text in used.items())
