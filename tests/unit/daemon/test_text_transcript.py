from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from wizardtpud.text.tokenizer import Tokenizer
from wizardtpud.text.transcript import Transcript

from tests.support.byte_level_tokenizer import byte_level_backend

TOKENIZER = Tokenizer(byte_level_backend())
IDS = st.lists(st.integers(0, TOKENIZER.vocabulary - 1))


@given(IDS)
def test_without_stop_sequences_the_text_is_that_of_the_tokens(ids: list[int]) -> None:
    transcript = Transcript(TOKENIZER, [], False)

    assert "".join(map(transcript.push, ids)) + transcript.finish() == TOKENIZER.decode(ids)
    assert transcript.stopped_by is None


@given(IDS, IDS, st.text("ab 好🦊", min_size=1, max_size=5), st.booleans())
def test_the_text_ends_at_a_stop_sequence_that_spans_tokens(
    before: list[int], after: list[int], stop: str, include: bool
) -> None:
    ids = before + TOKENIZER.encode(stop) + after
    text = TOKENIZER.decode(ids)
    transcript = Transcript(TOKENIZER, [stop], include)

    shown = "".join(map(transcript.push, ids)) + transcript.finish()

    position = text.find(stop)
    assert position >= 0
    assert shown == text[: position + len(stop) if include else position]
    assert transcript.stopped_by == stop


def test_a_stop_sequence_of_one_character_in_several_tokens() -> None:
    ids = [token_id for token_id, piece in enumerate(TOKENIZER.pieces) if len(piece) == 1]
    byte = {TOKENIZER.pieces[token_id]: token_id for token_id in ids}
    transcript = Transcript(TOKENIZER, ["🦊"], False)

    shown = [transcript.push(byte[bytes([value])]) for value in "a🦊b".encode()]

    assert shown == ["a", "", "", "", "", ""]
    assert transcript.stopped_by == "🦊"
    assert transcript.finish() == ""


def test_an_incomplete_last_character_may_complete_a_stop_sequence() -> None:
    half = next(token_id for token_id, piece in enumerate(TOKENIZER.pieces) if piece == b"\xe4")
    transcript = Transcript(TOKENIZER, ["\ufffd"], False)

    assert transcript.push(half) + transcript.finish() == ""
    assert transcript.stopped_by == "\ufffd"
