"""Finding the code in an answer that comes in pieces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wizardtpu_client.cli.code_block import CodeBlock


def extract(*pieces: str) -> str:
    block = CodeBlock()
    return "".join(map(block.feed, pieces)) + block.end()


def cut(text: str, places: list[int]) -> list[str]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[a:b] for a, b in pairwise(edges)]


lines = st.lists(st.text(st.characters(exclude_characters="\n`~")))
fences = st.tuples(st.sampled_from(["```", "````", "~~~", "~~~~~"]), st.sampled_from(["", "python", " c++ "]))
places = st.lists(st.integers(min_value=0))


@given(before=lines, fence=fences, code=lines, after=lines, places=places)
def test_a_fenced_block_comes_out_whole_however_the_answer_is_cut(
    before: list[str], fence: tuple[str, str], code: list[str], after: list[str], places: list[int]
) -> None:
    mark, info = fence
    answer = "\n".join([*before, mark + info, *code, mark, *after])
    assert extract(*cut(answer, places)) == "".join(f"{line}\n" for line in code)


@given(text=st.text(st.sampled_from("ab `~\n\t=:(.A")), places=places)
def test_cutting_changes_nothing(text: str, places: list[int]) -> None:
    assert extract(*cut(text, places)) == extract(text)


def test_lines_are_given_as_soon_as_they_are_whole() -> None:
    block = CodeBlock()
    assert block.feed("Here:\n```py\nx = ") == ""
    assert block.feed("1\ny") == "x = 1\n"
    assert block.feed(" = 2\n``") == "y = 2\n"
    assert block.feed("`\nDone.\n```\nz\n") == block.end() == ""


def test_it_is_complete_once_the_fence_is_closed() -> None:
    block = CodeBlock()
    fed = [(block.feed(piece), block.complete) for piece in ["```\nx", "\n``", "`", "\n"]]
    assert fed == [("", False), ("x\n", False), ("", False), ("", True)]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("```\na\n```\n```\nb\n```", "a\n"),
        ("```py\na\n", "a\n"),
        ("```py\na", "a\n"),
        ("````\n```\na\n````", "```\na\n"),
        ("~~~\n```\n~~~", "```\n"),
        ("```\na\n`````   \nb", "a\n"),
        ("1. So:\n   ```py\n   def f():\n       pass\n   ```\n", "def f():\n    pass\n"),
        ("   ```\n a\n   ```", "a\n"),
        ("Use ```x``` here.\n```\na\n```", "a\n"),
    ],
    ids=["first", "open", "open-unended", "longer", "tilde", "closing-longer", "list", "outdented", "inline"],
)
def test_fences(answer: str, code: str) -> None:
    assert extract(answer) == code


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("def f(x):\n    return x\n", "def f(x):\n    return x\n"),
        ("Here it is:\n\nimport os\n\nprint(os.name)\n\nIt prints the name.", "import os\n\nprint(os.name)\n"),
        ("It is for all.\n\nx = 1\n\nUse it well.\n\ny = 2", "x = 1\n"),
        ("#include <stdio.h>\nint main() { return 0; }", "#include <stdio.h>\nint main() { return 0; }\n"),
        ("\nThere is no code here.\n", "There is no code here.\n"),
        ("", "\n"),
    ],
    ids=["bare", "between prose", "first", "c", "none", "empty"],
)
def test_without_a_fence_it_is_what_looks_like_code(answer: str, code: str) -> None:
    assert extract(answer) == code
