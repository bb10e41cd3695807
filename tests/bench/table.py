"""Tables of the document."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tests.bench.series import Series


def table(header: str, rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table; `header` names its columns, separated by bars. All columns but the first are numbers."""
    names = [name.strip() for name in header.split("|")]
    lines = [_line(names), _line(["---", *["---:"] * (len(names) - 1)]), *map(_line, rows)]
    return "\n".join(lines)


def spread(series: Series, write: Callable[[float], str]) -> str:
    """The median, and the lowest and highest value."""
    return f"{write(series.median)} ({write(series.lowest)}-{write(series.highest)})"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
