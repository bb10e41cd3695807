"""Output that a terminal can be trusted with."""

from __future__ import annotations

from typing import TextIO

# C0 (but newline and tab), delete and C1: what starts an escape sequence or moves the cursor.
_CONTROLS = [code for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"]
_VISIBLE: dict[int, str] = {code: f"\\x{code:02x}" for code in _CONTROLS} | {ord("\r"): ""}


def visible(text: str) -> str:
    r"""The text with control characters spelled out, such as `\x1b`; carriage returns are dropped."""
    return text.translate(_VISIBLE)


class Printer:
    """Writes text at once. On a terminal, control characters are made visible instead of being obeyed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()

    def write(self, text: str) -> None:
        self._stream.write(visible(text) if self._terminal else text)
        self._stream.flush()
