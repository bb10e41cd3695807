"""A conversation as the text the model reads, by the chat template of the WizardCoder family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jinja2
from wizardtpud.model.chat_template import WIZARDCODER_CHAT_TEMPLATE

_TEMPLATE = jinja2.Environment(autoescape=False).from_string(WIZARDCODER_CHAT_TEMPLATE)  # noqa: S701 - plain text


class Turn(NamedTuple):
    request: str
    answer: str


def prompts(turns: Sequence[Turn]) -> list[str]:
    """For each turn the text between the answer before it and its own answer."""
    messages: list[dict[str, str]] = []
    pieces = []
    done = 0
    for turn in turns:
        messages.append({"role": "user", "content": turn.request})
        text = _TEMPLATE.render(messages=messages)
        pieces.append(text[done:])
        done = len(text) + len(turn.answer)
        messages.append({"role": "assistant", "content": turn.answer})
    return pieces
