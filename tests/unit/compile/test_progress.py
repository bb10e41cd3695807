"""What a person sees of a build that is no set of steps."""

from __future__ import annotations

import pytest
from wizardtpu_compile.progress import ProgressLines, person_progress


def test_a_large_build_tells_of_each_network(capsys: pytest.CaptureFixture[str]) -> None:
    progress = person_progress(40_000_000, verbose=False)
    assert isinstance(progress, ProgressLines)  # this is no terminal
    progress.start("block_0")
    progress.finish("block_0", 10_000_000, "12 MB")
    progress.close()
    first, second = capsys.readouterr().err.splitlines()
    assert first == "40.0 million weights to write and verify"
    assert second.startswith("block_0: 12 MB; 25% done, about ")


def test_a_small_build_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    progress = person_progress(1000, verbose=False)
    progress.finish("block_0", 1000, "12 MB")
    assert capsys.readouterr() == ("", "")
