"""The document that several benchmarks write, each its own part."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "BENCHMARKS.md"

_PART = re.compile(r"^(?=# )", re.MULTILINE)


def with_part(page: str, part: str) -> str:
    """The page with a part put in the place of the one that has the same heading, else at its end.

    A part begins with a heading of the first level and has no other one; it ends with a line feed.
    """
    parts = [each.rstrip("\n") + "\n" for each in _PART.split(page) if each.strip()]
    headings = [each.partition("\n")[0] for each in parts]
    heading = part.partition("\n")[0]
    if heading in headings:
        parts[headings.index(heading)] = part
    else:
        parts.append(part)
    return "\n".join(parts)


def write_part(part: str) -> None:
    """Puts a part into docs/BENCHMARKS.md."""
    PAGE.write_text(with_part(PAGE.read_text() if PAGE.exists() else "", part))
