"""A small model with random weights, as a checkpoint, as a bundle and as a plain reference."""

from __future__ import annotations

from pathlib import Path

import pytest
from wizardtpu_compile.options import CpuOptions
from wizardtpu_compile.targets.cpu import build_cpu_bundle

from tests.support.random_checkpoint import write_random_checkpoint
from tests.support.reference_gpt_bigcode import ReferenceModel

CONTEXT = 40
CHUNKS = (4, 16)


@pytest.fixture(scope="session")
def random_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers, 64 wide, 272 tokens; it never ends its text."""
    directory = tmp_path_factory.mktemp("checkpoint")
    return write_random_checkpoint(directory, positions=48, vocabulary=272, never_ends=True, dtype="float32")


@pytest.fixture(scope="session")
def random_bundle(random_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint compiled for a context of 40 and prefill chunks of 4 and 16 tokens."""
    directory = tmp_path_factory.mktemp("bundles") / "random"
    build_cpu_bundle(random_checkpoint, directory, CpuOptions(context=CONTEXT, prefill_chunks=CHUNKS))
    return directory


@pytest.fixture(scope="session")
def reference(random_checkpoint: Path) -> ReferenceModel:
    return ReferenceModel(random_checkpoint)
