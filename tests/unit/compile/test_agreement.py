"""Whether a reference would have chosen the same tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.network.gpt_bigcode import networks
from wizardtpu_compile.verification.agreement import agreement, next_logits

from tests.support.reference_gpt_bigcode import ReferenceModel

TEXT = [5, 77, 300, 12, 9, 41]


@pytest.fixture(scope="module")
def logits(sound_checkpoint: Path) -> NDArray[np.float32]:
    opened = Checkpoint.open(sound_checkpoint)
    return next_logits(networks(opened), [TEXT, TEXT[:3]], lambda _: lambda weight: weight.read())[0]


def test_logits_are_those_of_every_token(sound_checkpoint: Path, logits: NDArray[np.float32]) -> None:
    assert logits.shape == (len(TEXT), 320)
    opened = Checkpoint.open(sound_checkpoint)
    for length in (1, 4):
        (prefix,) = next_logits(networks(opened), [TEXT[:length]], lambda _: lambda weight: weight.read())
        np.testing.assert_allclose(prefix[-1], logits[length - 1], rtol=1e-4, atol=1e-4)


def test_they_are_those_of_an_independent_implementation(
    sound_checkpoint: Path, logits: NDArray[np.float32]
) -> None:
    expected = ReferenceModel(sound_checkpoint).logits(TEXT)
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-3)


def rows(*best: int) -> NDArray[np.float32]:
    """Logits whose highest is 2 ahead, at the given tokens."""
    made = np.zeros((len(best), 8), np.float32)
    made[range(len(best)), best] = 2
    return made


def test_an_answer_that_the_reference_would_have_given() -> None:
    seen = agreement([[1, 2]], [[3, 4]], [rows(0, 3, 4, 0)])
    assert (seen.tokens, seen.equal, seen.largest_margin, seen.smallest_margin) == (2, 2, 0, 2)


def test_a_token_it_would_not_have_chosen_tells_the_margin() -> None:
    seen = agreement([[1], [1]], [[3, 4], [5]], [rows(3, 6, 0), rows(7, 0)])
    assert (seen.tokens, seen.equal, seen.largest_margin) == (3, 1, 2)


def test_a_tie_is_no_margin() -> None:
    tied = np.array([[1, 1, 0]], np.float32)
    seen = agreement([[2]], [[1]], [tied])
    assert (seen.equal, seen.largest_margin) == (0, 0)
