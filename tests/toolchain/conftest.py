"""What most of these tests need; one that changes a checkpoint makes its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from wizardtpu_compile.toolchain.toolchain import Toolchain

from tests.support.toolchain import require_toolchain
from tests.support.tpu_checkpoint import write_tpu_checkpoint


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    return require_toolchain()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers, 128 wide, 4 heads, 320 tokens; not to be changed."""
    return write_tpu_checkpoint(tmp_path_factory.mktemp("sound") / "tiny")
