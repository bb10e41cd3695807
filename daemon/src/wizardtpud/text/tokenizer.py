"""The bundle's tokenizer: text to token ids and back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, pre_tokenizers

from wizardtpud.errors import BundleError


def _byte_of_character() -> dict[str, int]:
    """The alphabet in which byte-level vocabularies are spelled: one printable character per byte.

    Printable Latin-1 characters stand for themselves, the other bytes in order for U+0100 onwards
    (GPT-2, `bytes_to_unicode`); so sorting the library's alphabet in these two parts gives the bytes back.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    printable = [ord(character) for character in alphabet if ord(character) < 256]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return dict(zip(alphabet, printable + others, strict=True))


_BYTE_OF = _byte_of_character()


class Tokenizer:
    """A byte-level BPE tokenizer in the format of the `tokenizers` library.

    Attributes:
        vocabulary: the highest token id + 1.
        pieces: for each token id the bytes it stands for; none for special tokens, which are not text.
    """

    def __init__(self, backend: Any) -> None:
        # A file may carry the truncation and padding of its training; a prompt is never cut silently.
        backend.no_truncation()
        backend.no_padding()
        self._backend = backend
        self.vocabulary: int = max(backend.get_vocab(with_added_tokens=True).values(), default=-1) + 1
        special = {token.content for token in backend.get_added_tokens_decoder().values() if token.special}
        spellings = map(self.piece, range(self.vocabulary))
        self.pieces = tuple(b"" if spelling in special else _bytes(spelling) for spelling in spellings)

    @classmethod
    def load(cls, path: Path, vocabulary: int | None = None) -> Tokenizer:
        """Read a ``tokenizer.json``; the vocabulary of the model that it is for may be larger than its own.

        Raises:
            BundleError: it cannot be read, is not a byte-level tokenizer, or that of another model.
        """
        try:
            backend = tokenizers.Tokenizer.from_buffer(path.read_bytes())
        except OSError as error:
            raise BundleError(f"{path}: {error.strerror}") from error
        except Exception as error:  # the library has no exception of its own
            raise BundleError(f"{path}: not a tokenizer that the tokenizers library reads: {error}") from error
        if not isinstance(backend.decoder, decoders.ByteLevel):
            kind = type(backend.decoder).__name__ if backend.decoder else "none"
            raise BundleError(f"{path}: the decoder is {kind}; only byte-level tokenizers are supported")
        tokenizer = cls(backend)
        if vocabulary is not None and tokenizer.vocabulary > vocabulary:
            raise BundleError(
                f"{path} is of another model: it has token ids up to {tokenizer.vocabulary - 1}, and this model's "
                f"end at {vocabulary - 1}; take the one that the model was published with"
            )
        return tokenizer

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`; special tokens spelled out in it become their ids, none is added."""
        ids: list[int] = self._backend.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids` without special tokens; bytes that are not UTF-8 become U+FFFD."""
        text: str = self._backend.decode(ids, skip_special_tokens=True)
        return text

    def piece(self, token_id: int) -> str:
        """The vocabulary's own spelling of a token, special or not; empty for an id without one."""
        return self._backend.id_to_token(token_id) or ""


def _bytes(spelling: str) -> bytes:
    """What a token stands for. Added tokens are spelled in plain text, which the alphabet may not cover."""
    if all(character in _BYTE_OF for character in spelling):
        return bytes(_BYTE_OF[character] for character in spelling)
    return spelling.encode()
