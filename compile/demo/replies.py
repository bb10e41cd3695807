"""What the demonstration model says to greetings and to requests it cannot serve."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from demo import phrasing
from demo.tables import read_tables

REPLIES_FILE = Path(__file__).with_name("replies.toml")


@dataclass(frozen=True)
class Reply:
    """A fixed answer, what it answers to, and a few prompts that measure how it generalises.

    `trained` holds `prompts` and whatever else the model is trained on.
    """

    name: str
    prompts: tuple[str, ...]
    trained: tuple[str, ...]
    held_out: tuple[str, ...]
    answer: str


def load_replies(path: Path = REPLIES_FILE) -> list[Reply]:
    """All replies; their noun and verbal phrases are put through the templates of the tasks."""
    replies = []
    for name, table in read_tables(path).items():
        filled = phrasing.trained_phrasings(table.get("nouns", []), table.get("verbs", []))
        replies.append(
            Reply(
                name=name,
                prompts=tuple(table["prompts"]),
                trained=(*table["prompts"], *filled),
                held_out=tuple(table["held_out"]),
                answer=table["answer"].strip(),
            )
        )
    return replies
