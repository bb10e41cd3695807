"""The engine on the simulated chip says what a plain recomputation of the whole sequence says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray
from wizardtpu_compile.precision import Float
from wizardtpu_compile.targets.tpu.build import build_tpu_bundle
from wizardtpu_compile.toolchain.toolchain import Toolchain
from wizardtpud.device.runtime import Runtime
from wizardtpud.device.sail import SailLibrary, SailRuntime
from wizardtpud.engine import Engine, FinishReason, Sampling, Sequence, Token
from wizardtpud.engine.wizardtpu.forward import StepForward
from wizardtpud.model.bundle import Bundle
from wizardtpud.model.layout import BlockNetwork, Layout, resolve
from wizardtpud.model.loading import load

from tests.support.random_checkpoint import write_random_checkpoint
from tests.support.reference_gpt_bigcode import ReferenceModel
from tests.support.tpu_checkpoint import few_shapes

V, CONTEXT = 272, 7
EVERYTHING = Sampling(logprobs=V)  # the log probability of the whole vocabulary with each token
DTYPES: dict[Float, type] = {"f16": np.float16, "bf16": ml_dtypes.bfloat16}
LOWEST_COSINE: dict[Float, float] = {"f16": 0.99999, "bf16": 0.9995}
"""With another token in one place of the prompt, it is less than 0.998."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three layers, 128 wide; it never ends its text."""
    directory = tmp_path_factory.mktemp("checkpoint")
    return write_random_checkpoint(
        directory, hidden=128, layers=3, positions=32, vocabulary=V, never_ends=True, dtype="float32"
    )


@pytest.fixture(scope="module", params=["f16", "bf16"])
def element(request: pytest.FixtureRequest) -> Float:
    form: Float = request.param
    return form


@pytest.fixture(scope="module")
def bundle(
    checkpoint: Path, element: Float, toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    """Two layers in one block and one in another."""
    directory = tmp_path_factory.mktemp("bundle") / element
    options = few_shapes(context=CONTEXT, prefill_chunks=(4,), quantize=element, layers_per_net=2)
    build_tpu_bundle(checkpoint, directory, options, toolchain.directory)
    return Bundle.open(directory)


@pytest.fixture(scope="module", params=["simulator", "sail"])
def model(
    request: pytest.FixtureRequest, bundle: Bundle, toolchain: Toolchain, sail_library: SailLibrary
) -> Iterator[tuple[Runtime, Layout]]:
    if request.param == "sail":
        runtime: Runtime = SailRuntime(bundle.path(bundle.manifest.networks[0].file), library=sail_library)
    else:
        runtime = load(bundle, "simulator", library=toolchain.simulator)
    with runtime:
        yield runtime, resolve(bundle.manifest, runtime.networks)


@pytest.fixture
def engine(model: tuple[Runtime, Layout]) -> Engine:
    return Engine(StepForward(*model, slots=2), end_of_text=[0])


def prompt(length: int) -> list[int]:
    return [int(token) for token in np.random.default_rng(length).integers(1, V, length)]


def run(engine: Engine, *sequences: Sequence) -> list[list[Token]]:
    """Steps until all have ended; releases them."""
    tokens: dict[Sequence, list[Token]] = {sequence: [] for sequence in sequences}
    while any(sequence.finish is None for sequence in sequences):
        for progress in engine.step():
            tokens[progress.sequence] += progress.tokens
    for sequence in sequences:
        engine.release(sequence)
    return list(tokens.values())


def log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted: NDArray[np.float64] = logits - logits.max(-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(-1, keepdims=True))
    return shifted


def cosines(reference: ReferenceModel, sequence: Sequence, tokens: list[Token]) -> NDArray[np.float64]:
    """Between what was said of each new token and what the reference says, end-of-text aside."""
    expected = log_softmax(reference.logits(sequence.tokens[:-1]))[len(sequence.prompt) - 1 :, 1:]
    found = np.array([[value for _, value in sorted(token.alternatives)][1:] for token in tokens])
    found, expected = found - found.mean(-1, keepdims=True), expected - expected.mean(-1, keepdims=True)
    products = (found * expected).sum(-1)
    return np.asarray(products / np.linalg.norm(found, axis=-1) / np.linalg.norm(expected, axis=-1))


def test_the_layout(model: tuple[Runtime, Layout], element: Float) -> None:
    layout = model[1]
    assert layout.dtype == np.dtype(DTYPES[element])
    assert layout.steps[1].blocks == (BlockNetwork("block_0_b1_t4_s7", 2), BlockNetwork("block_2_b1_t4_s7", 1))


def test_two_sequences_fill_their_slots(engine: Engine, checkpoint: Path, element: Float) -> None:
    """Both are read in chunks; the second chunk of one would pass the end of its slot, and begins earlier."""
    sequences = [engine.admit(prompt(CONTEXT - rest), EVERYTHING) for rest in (1, 2)]
    answers = run(engine, *sequences)
    reference = ReferenceModel(checkpoint)
    for sequence, tokens in zip(sequences, answers, strict=True):
        assert sequence.finish is FinishReason.CONTEXT_FULL
        assert cosines(reference, sequence, tokens).min() > LOWEST_COSINE[element]


def test_the_device_chooses_as_the_host_does(engine: Engine) -> None:
    answers = [run(engine, engine.admit(prompt(3), how, max_new_tokens=1))[0] for how in (Sampling(), EVERYTHING)]
    assert answers[0][0].id == answers[1][0].id
