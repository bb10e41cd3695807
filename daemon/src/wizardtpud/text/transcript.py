"""The text of one answer, from its token ids."""

from __future__ import annotations

from collections.abc import Sequence

from wizardtpud.text.detokenizer import Detokenizer
from wizardtpud.text.stop_matcher import StopMatcher
from wizardtpud.text.tokenizer import Tokenizer


class Transcript:
    """Turns generated tokens into text that may be shown: whole characters, up to the first stop sequence.

    Args:
        stop_sequences: none of them empty.
        include_stop: whether the text ends with the stop sequence, or before it.
    """

    def __init__(self, tokenizer: Tokenizer, stop_sequences: Sequence[str], include_stop: bool) -> None:
        self._detokenizer = Detokenizer(tokenizer)
        self._matcher = StopMatcher(stop_sequences, include_stop)

    @property
    def stopped_by(self) -> str | None:
        """The stop sequence that appeared, once it has."""
        return self._matcher.matched

    def push(self, token_id: int) -> str:
        """Takes a token; returns the text it releases, often none."""
        return self._matcher.push(self._detokenizer.push(token_id))

    def finish(self) -> str:
        """Returns the text still held back."""
        return self._matcher.push(self._detokenizer.flush()) + self._matcher.flush()
