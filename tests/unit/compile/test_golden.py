"""The project's own bundles give what Hugging Face transformers gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from wizardtpu_compile.targets.cpu import build_cpu_bundle
from wizardtpud.engine import make_engine
from wizardtpud.engine.engine import Engine
from wizardtpud.engine.sampling import Sampling
from wizardtpud.model import loading
from wizardtpud.model.bundle import Bundle

from tests.golden.cases import CASES, Case
from tests.golden.golden import Golden, weights_digest
from tests.support.networks import logits_of


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Golden, Path]:
    case: Case = request.param
    directory = tmp_path_factory.mktemp(case.name)
    checkpoint = case.checkpoint(directory / "checkpoint")
    golden = Golden.load(case.path)
    assert weights_digest(checkpoint) == golden.weights, (
        f"{case.path.name} was made from other weights: run python -m tests.golden.make"
    )
    build_cpu_bundle(checkpoint, directory / "bundle")
    return golden, directory / "bundle"


def test_greedy_token_ids(built: tuple[Golden, Path]) -> None:
    golden, directory = built
    bundle = Bundle.open(directory)
    with loading.load(bundle, "cpu") as runtime:
        engine = make_engine(bundle.manifest, runtime)
        for prompt, answer in zip(golden.prompts, golden.answers, strict=True):
            assert generate(engine, prompt, len(answer)) == answer.tolist()


def test_logits(built: tuple[Golden, Path]) -> None:
    golden, directory = built
    for prompt, answer, expected in zip(golden.prompts, golden.answers, golden.logits, strict=True):
        for step, row in enumerate(expected):
            found = logits_of(directory, np.concatenate([prompt, answer[:step]]))
            np.testing.assert_allclose(found, row, atol=2e-4)


def generate(engine: Engine, prompt: NDArray[np.int32], count: int) -> list[int]:
    sequence = engine.admit(prompt.tolist(), Sampling(), count)
    while sequence.finish is None:
        engine.step()
    engine.release(sequence)
    return sequence.generated
