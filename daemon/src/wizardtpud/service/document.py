"""A configuration as a TOML file that explains itself."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from typing import Any

from msgspec import NODEFAULT

from wizardtpud.service.configuration import KEYS, Key


def document(values: Mapping[str, Any]) -> str:
    """The text of a file with every key; those without a value have their default.

    Reading it gives the same configuration. A required key without a value is left as a comment.
    """
    return "\n".join(_entry(key, values.get(key.name, key.default)) for key in KEYS.values())


def explanation(key: Key) -> str:
    """What a key is for, what it may be, and its default."""
    default = "Required." if key.required else f"Default: {_toml(key.default)}."
    return f"{key.description} Allowed: {key.allowed}. {default}"


def _entry(key: Key, value: Any) -> str:
    words = textwrap.wrap(explanation(key), width=100, break_on_hyphens=False, break_long_words=False)
    comment = "".join(f"# {line}\n" for line in words)
    if value is NODEFAULT:
        return f'{comment}# {key.name} = ""\n'
    return f"{comment}{key.name} = {_toml(value)}\n"


def _toml(value: Any) -> str:
    """A value of the configuration in TOML."""
    if value is None:
        return '"off"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(str(value), ensure_ascii=False)  # printable text is escaped in TOML as in JSON
