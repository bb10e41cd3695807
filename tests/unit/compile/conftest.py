"""Small random checkpoints: one of its own for each test that spoils it, else one for all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.random_checkpoint import write_random_checkpoint


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Two layers, 64 wide, 4 heads, 128 positions, 320 tokens; may be changed."""
    return write_random_checkpoint(tmp_path / "checkpoint")


@pytest.fixture(scope="session")
def sound_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, not to be changed."""
    return write_random_checkpoint(tmp_path_factory.mktemp("sound") / "checkpoint")
