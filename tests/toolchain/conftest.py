"""What most of these tests need; one that changes a checkpoint makes its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from wizardtpu_compile.toolchain.toolchain import Toolchain
from wizardtpud.device.bmrt import BmrtLibrary
from wizardtpud.device.sail import SailLibrary

from tests.support.sail import load_standin
from tests.support.toolchain import require_toolchain
from tests.support.tpu_checkpoint import write_tpu_checkpoint


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    return require_toolchain()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers, 128 wide, 4 heads, 320 tokens; not to be changed."""
    return write_tpu_checkpoint(tmp_path_factory.mktemp("sound") / "tiny")


@pytest.fixture(scope="session")
def bmrt_library(toolchain: Toolchain) -> BmrtLibrary:
    """The vendor's runtime, on its simulator."""
    return BmrtLibrary.load(toolchain.simulator)


@pytest.fixture(scope="session")
def sail_library(toolchain: Toolchain) -> SailLibrary:
    """The stand-in for sophon-sail, on the simulator."""
    return load_standin(toolchain.simulator)
