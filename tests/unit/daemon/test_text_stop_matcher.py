from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wizardtpud.text.stop_matcher import StopMatcher

# Few letters, so that sequences overlap themselves, one another and the text in every way.
LETTERS = st.text("ab\n", max_size=40)
SEQUENCES = st.lists(st.text("ab\n", min_size=1, max_size=6), max_size=5)
PUSHES = st.lists(st.text("ab\n", max_size=8), max_size=12)


def first_match(text: str, sequences: list[str]) -> tuple[int, str] | None:
    """Where the text ends, and the sequence that ends it: the first complete one, the longest of several."""
    for end in range(1, len(text) + 1):
        found = [sequence for sequence in sequences if text[:end].endswith(sequence)]
        if found:
            return end, max(found, key=len)
    return None


def longest_beginning(text: str, sequences: list[str]) -> int:
    """The length of the longest end of the text that is a proper beginning of a sequence."""
    return max(
        (n for s in sequences for n in range(1, min(len(s), len(text) + 1)) if text.endswith(s[:n])), default=0
    )


@given(PUSHES, SEQUENCES, st.booleans())
def test_agrees_with_a_search_of_the_whole_text(pushes: list[str], sequences: list[str], include: bool) -> None:
    text = "".join(pushes)
    matcher = StopMatcher(sequences, include)
    released = "".join(matcher.push(push) for push in pushes) + matcher.flush()

    match = first_match(text, sequences)
    if match is None:
        assert matcher.matched is None
        assert released == text
    else:
        end, sequence = match
        assert matcher.matched == sequence
        assert released == (text[:end] if include else text[: end - len(sequence)])


@given(PUSHES, SEQUENCES)
def test_holds_back_what_may_become_a_stop_sequence_and_nothing_else(
    pushes: list[str], sequences: list[str]
) -> None:
    matcher, seen, released = StopMatcher(sequences), "", ""
    for push in pushes:
        seen += push
        released += matcher.push(push)
        if first_match(seen, sequences) is not None:
            break
        assert released == seen[: len(seen) - longest_beginning(seen, sequences)]


@given(LETTERS, SEQUENCES, st.booleans())
def test_the_cut_into_pushes_changes_nothing(text: str, sequences: list[str], include: bool) -> None:
    whole, single = StopMatcher(sequences, include), StopMatcher(sequences, include)

    assert whole.push(text) + whole.flush() == "".join(map(single.push, text)) + single.flush()
    assert whole.matched == single.matched


def test_nothing_is_released_after_a_match() -> None:
    matcher = StopMatcher(["stop"])

    assert matcher.push("go st") == "go "
    assert matcher.push("op now") == ""
    assert matcher.push(" and on") == ""
    assert matcher.flush() == ""
    assert matcher.matched == "stop"


def test_a_beginning_that_does_not_go_on_is_released() -> None:
    matcher = StopMatcher(["\n\n###"])

    assert matcher.push("a\n") == "a"
    assert matcher.push("\n#") == ""
    assert matcher.push(" b") == "\n\n# b"
    assert matcher.push("\n\n##") == ""
    assert matcher.flush() == "\n\n##"


@pytest.mark.parametrize(
    ("sequences", "winner", "rest"),
    [
        (["ab", "xaby"], "ab", "x"),  # complete first, though the other began earlier
        (["b", "ab"], "ab", "x"),  # complete at the same character: the longest
        (["a", "ab"], "a", "x"),
    ],
)
def test_which_of_overlapping_sequences_wins(sequences: list[str], winner: str, rest: str) -> None:
    matcher = StopMatcher(sequences)

    assert matcher.push("xaby") == rest
    assert matcher.matched == winner


def test_without_sequences_all_text_passes() -> None:
    matcher = StopMatcher([])

    assert matcher.push("anything") == "anything"
    assert matcher.flush() == ""
