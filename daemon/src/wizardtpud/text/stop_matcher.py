"""Stop sequences in streamed text."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence


class _State:
    """A node of the Aho-Corasick automaton: some beginning of a stop sequence, as far as the text agrees with it.

    Attributes:
        depth: length of that beginning.
        shorter: the longest proper suffix of it that is a beginning too.
        match: the longest stop sequence that ends here.
    """

    __slots__ = ("depth", "match", "next", "shorter")

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.next: dict[str, _State] = {}
        self.shorter: _State | None = None
        self.match: str | None = None


class StopMatcher:
    """Releases text up to the first stop sequence, and holds back what may become one.

    The sequence that is complete first wins, and the longest of several that end at the same character; so
    the result does not depend on how the text is cut into pushes. The work is linear in the text (Aho and
    Corasick, 1975), and the text held back is never longer than the longest sequence less one character.

    Args:
        sequences: none of them empty.
        include: whether the released text ends with the sequence, or before it.

    Attributes:
        matched: the sequence that was found; from then on nothing more is released.
    """

    def __init__(self, sequences: Sequence[str], include: bool = False) -> None:
        self.matched: str | None = None
        self._include = include
        self._root = self._state = _automaton(sequences)
        self._held = ""

    def push(self, text: str) -> str:
        """Takes more text; returns what may be released."""
        if self.matched is not None:
            return ""
        if not self._root.next:
            return text
        text = self._held + text
        for index in range(len(self._held), len(text)):
            self._state = _advance(self._state, text[index])
            if self._state.match is not None:
                return self._stop(text[: index + 1], self._state.match)
        return self._split(text, self._state.depth)

    def flush(self) -> str:
        """The text still held back, which no stop sequence will complete."""
        return self._split(self._held, 0)

    def _stop(self, text: str, sequence: str) -> str:
        self.matched, self._held = sequence, ""
        return text if self._include else text[: -len(sequence)]

    def _split(self, text: str, hold: int) -> str:
        release = len(text) - hold
        self._held = text[release:]
        return text[:release]


def _advance(state: _State, character: str) -> _State:
    """The longest beginning that the text ends with, after one more character."""
    while character not in state.next and state.shorter is not None:
        state = state.shorter
    return state.next.get(character, state)


def _automaton(sequences: Sequence[str]) -> _State:
    root = _State(0)
    for sequence in sequences:
        state = root
        for depth, character in enumerate(sequence, start=1):
            state = state.next.setdefault(character, _State(depth))
        state.match = sequence
    _link(root)
    return root


def _link(root: _State) -> None:
    """Sets `shorter`, breadth first: a state's link is found by way of the links of shallower states."""
    states = deque([root])
    while states:
        state = states.popleft()
        for character, child in state.next.items():
            child.shorter = root if state.shorter is None else _advance(state.shorter, character)
            child.match = child.match or child.shorter.match
            states.append(child)
