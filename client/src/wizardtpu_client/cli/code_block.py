"""Finds the first code in an answer while it is still being written."""

from __future__ import annotations

import re

# A fence as in CommonMark: three or more backticks or tildes; an info string may follow the opening one.
_FENCE = re.compile(r"(?P<indent>[ \t]*)(?P<marks>`{3,}(?=[^`]*$)|~{3,}).*")
_CODE = re.compile(
    r"""(async\ def|class|const|def|enum|fn|func|function|import|package|private|public|static|struct|var)\ .*
    | from\ \S+\ import\ .*
    | (for|if|try|while|with)\b.*:
    | [\w.]+(\ *[-+*/|]?=\ |\().*       # an assignment or a call
    | [@#][\w!].*                       # a decorator, #include or #!
    | .*[{};]""",
    re.VERBOSE,
)
_PROSE = re.compile(r"[A-Z][\w']*,? .*[.:!?]")


class CodeBlock:
    """Takes an answer piece by piece and gives the lines of its first fenced code block.

    An answer without a fence gives, at its end, the lines from the first that looks like code up to prose
    after a blank line; if none looks like code, all of it.
    """

    def __init__(self) -> None:
        self._before: list[str] = []
        self._rest = ""
        self._opening: re.Match[str] | None = None
        self.complete = False
        """Whether the closing fence has come; what is fed after it gives nothing."""

    def feed(self, text: str) -> str:
        """The lines of code that `text` completes."""
        *lines, self._rest = (self._rest + text).split("\n")
        return "".join(map(self._line, lines))

    def end(self) -> str:
        """What was held back until it was clear that no more text comes."""
        last, self._rest = self._rest, ""
        code = self._line(last) if last else ""
        return code if self._opening else _unfenced(self._before)

    def _line(self, line: str) -> str:
        if self.complete:
            return ""
        if self._opening is None:
            self._before.append(line)
            self._opening = _FENCE.fullmatch(line)
            return ""
        self.complete = _closes(line.strip(), self._opening["marks"])
        return "" if self.complete else _dedented(line, len(self._opening["indent"])) + "\n"


def _closes(line: str, marks: str) -> bool:
    return len(line) >= len(marks) and line == marks[0] * len(line)


def _dedented(line: str, indent: int) -> str:
    return line[:indent].lstrip(" \t") + line[indent:]


def _unfenced(lines: list[str]) -> str:
    start = next((i for i, line in enumerate(lines) if _CODE.fullmatch(line)), None)
    code = lines if start is None else lines[start : _prose_after(lines, start)]
    return "\n".join(code).strip("\n") + "\n"


def _prose_after(lines: list[str], start: int) -> int:
    for i in range(start + 1, len(lines)):
        if not lines[i - 1].strip() and _PROSE.fullmatch(lines[i]):
            return i
    return len(lines)
