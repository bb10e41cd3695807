"""Token ids to text, one at a time, never half a character."""

from __future__ import annotations

import codecs

from wizardtpud.text.tokenizer import Tokenizer


class Detokenizer:
    """Turns a stream of token ids into text as soon as characters are complete.

    The pushes and the flush together give what decoding all ids at once gives: special tokens are left out,
    and a byte that cannot begin or continue a character becomes U+FFFD. At most three bytes are held back.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._pieces = tokenizer.pieces
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode

    def push(self, token_id: int) -> str:
        """The characters that `token_id` completes, often none; an id outside the vocabulary has no text."""
        if token_id >= len(self._pieces):
            return ""
        return self._decode(self._pieces[token_id])

    def flush(self) -> str:
        """U+FFFD for a character that stayed incomplete, if there is one."""
        return self._decode(b"", True)
