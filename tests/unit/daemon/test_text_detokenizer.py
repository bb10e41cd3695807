from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken
from wizardtpud.text.detokenizer import Detokenizer
from wizardtpud.text.tokenizer import Tokenizer

from tests.support.byte_level_tokenizer import byte_level_backend

# Added tokens are spelled in plain text: in the byte alphabet (where "é" is one byte), outside it, or in both.
ADDED = [
    AddedToken("<pad>", special=True),
    AddedToken("[tab] indent", special=False),
    AddedToken("é", special=False),
    AddedToken("世é", special=False),
    AddedToken("Ġend", special=False, lstrip=True),
]
BACKEND = byte_level_backend(added=ADDED)
TOKENIZER = Tokenizer(BACKEND)
BYTE = {piece: token_id for token_id, piece in enumerate(TOKENIZER.pieces) if len(piece) == 1}


def stream(ids: list[int]) -> tuple[list[str], str]:
    detokenizer = Detokenizer(TOKENIZER)
    return [detokenizer.push(token_id) for token_id in ids], detokenizer.flush()


def ids_of(data: bytes) -> list[int]:
    return [BYTE[bytes([byte])] for byte in data]


@given(st.lists(st.integers(0, TOKENIZER.vocabulary + 3)))
def test_any_ids_give_what_decoding_them_at_once_gives(ids: list[int]) -> None:
    pushed, rest = stream(ids)

    assert "".join(pushed) + rest == BACKEND.decode(ids, skip_special_tokens=True)


@given(st.binary())
def test_any_bytes_give_what_decoding_them_at_once_gives(data: bytes) -> None:
    ids = ids_of(data)
    pushed, rest = stream(ids)

    assert "".join(pushed) + rest == BACKEND.decode(ids, skip_special_tokens=True)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_characters_come_whole_and_at_once(text: str) -> None:
    pushed, rest = stream(ids_of(text.encode()))

    complete = [character for push in pushed for character in push]
    assert complete == list(text)
    assert rest == ""


@given(st.binary())
def test_at_most_three_bytes_are_held_back(data: bytes) -> None:
    _, rest = stream(ids_of(data))

    assert any(data[len(data) - held :].decode(errors="replace") == rest for held in range(min(len(data), 3) + 1))


def test_invalid_bytes_do_not_stall_the_stream() -> None:
    pushed, rest = stream(ids_of(b"\xff" * 50))

    assert pushed == ["\ufffd"] * 50
    assert rest == ""


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_an_incomplete_character_is_replaced_at_the_end(cut: int) -> None:
    pushed, rest = stream(ids_of("🦊".encode()[:cut]))

    assert "".join(pushed) == ""
    assert rest == "\ufffd"


def test_special_tokens_within_a_character_do_not_break_it() -> None:
    first, *others = ids_of("é".encode())
    pushed, rest = stream([first, 0, *others])

    assert pushed == ["", "", "é"]
    assert rest == ""
