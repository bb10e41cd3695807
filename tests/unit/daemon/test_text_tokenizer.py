from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, processors
from wizardtpud.errors import BundleError
from wizardtpud.text.tokenizer import Tokenizer

from tests.support.byte_level_tokenizer import END_OF_TEXT, byte_level_backend

TOKENIZER = Tokenizer(byte_level_backend())


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_text_survives_encoding(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text.replace(END_OF_TEXT, "")


def test_pieces_spell_every_byte_once() -> None:
    singles = [piece for piece in TOKENIZER.pieces if len(piece) == 1]

    assert sorted(singles) == [bytes([byte]) for byte in range(256)]


def test_special_tokens_are_found_in_text_and_left_out_of_it() -> None:
    ids = TOKENIZER.encode(f"a{END_OF_TEXT}b")

    assert 0 in ids
    assert TOKENIZER.decode(ids) == "ab"
    assert TOKENIZER.piece(0) == END_OF_TEXT
    assert TOKENIZER.pieces[0] == b""


def test_no_token_is_added_and_none_is_cut_whatever_the_file_says() -> None:
    backend = byte_level_backend()
    backend.enable_truncation(4)
    backend.enable_padding(length=64)

    assert Tokenizer(backend).encode("quicksort " * 20) == TOKENIZER.encode("quicksort " * 20)


def test_load_counts_ids_and_spells_those_beyond_the_vocabulary_as_nothing(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(byte_level_backend(vocabulary=300).to_str(), encoding="utf-8")
    tokenizer = Tokenizer.load(path)

    assert tokenizer.vocabulary == 300
    assert tokenizer.piece(300) == ""


def test_load_names_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"

    with pytest.raises(BundleError, match=re.escape(f"{path}: No such file")):
        Tokenizer.load(path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"model": {"type": "BPE"}}'])
def test_load_names_a_damaged_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)

    with pytest.raises(BundleError, match=re.escape(f"{path}: not a tokenizer")):
        Tokenizer.load(path)


@pytest.mark.parametrize(("decoder", "name"), [(decoders.Metaspace(), "Metaspace"), (None, "none")])
def test_load_refuses_tokenizers_that_are_not_byte_level(
    tmp_path: Path, decoder: decoders.Decoder | None, name: str
) -> None:
    backend = Backend(models.BPE())
    backend.decoder = decoder
    path = tmp_path / "tokenizer.json"
    path.write_text(backend.to_str(), encoding="utf-8")

    with pytest.raises(BundleError, match=f"decoder is {name}"):
        Tokenizer.load(path)


def test_load_refuses_the_tokenizer_of_a_larger_vocabulary(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(byte_level_backend(vocabulary=300).to_str(), encoding="utf-8")

    assert Tokenizer.load(path, vocabulary=300).vocabulary == 300
    with pytest.raises(
        BundleError, match="is of another model: it has token ids up to 299, and this model's end at"
    ):
        Tokenizer.load(path, vocabulary=299)


def test_a_beginning_that_the_template_wrote_is_not_added_again() -> None:
    """Tokenizers of some families would put it before whatever they encode."""
    backend = byte_level_backend()
    backend.post_processor = processors.TemplateProcessing(
        single=f"{END_OF_TEXT} $A", special_tokens=[(END_OF_TEXT, 0)]
    )

    ids = Tokenizer(backend).encode(f"{END_OF_TEXT}quicksort")

    assert ids.count(0) == 1
    assert ids == TOKENIZER.encode(f"{END_OF_TEXT}quicksort")
