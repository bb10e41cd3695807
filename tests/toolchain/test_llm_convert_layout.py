"""Bmodels of the vendor's own converter for other architectures, on the simulator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from wizardtpu.v1 import generation_pb2 as wire
from wizardtpu_compile.toolchain.toolchain import Toolchain
from wizardtpud.device.bmrt import BmrtLibrary, BmrtRuntime
from wizardtpud.device.runtime import Runtime
from wizardtpud.device.sail import SailLibrary, SailRuntime
from wizardtpud.engine import Engine, Sampling, make_engine
from wizardtpud.errors import NotNumbersError
from wizardtpud.model.bmodel.model import Tensor
from wizardtpud.model.bmodel.reading import read_model
from wizardtpud.model.foreign.model import ForeignModel

from tests.support.conversation import ask
from tests.support.eventually import PATIENCE
from tests.support.llm_convert.checkpoint import (
    ARCHITECTURE,
    END,
    END_ID,
    NOT_A_NUMBER,
    START,
    write_qwen2_checkpoint,
)
from tests.support.llm_convert.conversion import CHUNK, CONTEXT, HISTORY, LOGITS, Converted, convert
from tests.support.llm_convert.reference import ReferenceQwen2
from tests.support.simulated_daemon import answer_ids, simulated_daemon
from tests.support.toolchain import require_onnx_frontend

HIDDEN, VOCABULARY = ARCHITECTURE.hidden, ARCHITECTURE.vocabulary

# Tokens of the answers lead by more than float16 rounds; those of the first two by more than bfloat16 does.
SHORT = [194, 80, 308, 300, 21, 60]
LONGER = [42, 123, 158, 189, 213, 163, 16, 220, 297, 207]
FULL = list(range(225, 225 + CONTEXT - 3))

Signature = tuple[bool, list[tuple[str, ...]]]
"""Whether a network is dynamic, and type and shape of its inputs, then its outputs, for every stage."""


@pytest.fixture(scope="module")
def frontend() -> Toolchain:
    return require_onnx_frontend()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("llm_convert")


@pytest.fixture(scope="module")
def reference(directory: Path) -> ReferenceQwen2:
    return ReferenceQwen2(write_qwen2_checkpoint(directory / "half", "float16"))


@pytest.fixture(scope="module")
def history(frontend: Toolchain, directory: Path, reference: ReferenceQwen2) -> Converted:
    return convert(frontend, directory / "half", directory / "history", *HISTORY, quantize="f16")


@pytest.fixture(scope="module")
def wide(directory: Path) -> ReferenceQwen2:
    return ReferenceQwen2(write_qwen2_checkpoint(directory / "wide", "bfloat16"))


@pytest.fixture(scope="module")
def logits(frontend: Toolchain, directory: Path, wide: ReferenceQwen2) -> Converted:
    return convert(frontend, directory / "wide", directory / "logits", *LOGITS, quantize="bf16")


@contextmanager
def running(converted: Converted, library: BmrtLibrary | SailLibrary) -> Iterator[Engine]:
    manifest = ForeignModel(converted.bmodel, converted.config).manifest("tiny")
    with load(converted.bmodel, library) as runtime:
        yield make_engine(manifest, runtime, slots=2)


def load(bmodel: Path, library: BmrtLibrary | SailLibrary) -> Runtime:
    if isinstance(library, BmrtLibrary):
        return BmrtRuntime(bmodel, library)
    return SailRuntime(bmodel, library=library)


def answers(
    engine: Engine, *prompts: Sequence[int], count: int, sampling: Sampling | None = None
) -> list[list[int]]:
    sequences = [engine.admit(prompt, sampling or Sampling(), count) for prompt in prompts]
    while any(sequence.finish is None for sequence in sequences):
        engine.step()
    for sequence in sequences:
        engine.release(sequence)
    return [sequence.generated for sequence in sequences]


def test_chunks_of_a_prompt(history: Converted, bmrt_library: BmrtLibrary, reference: ReferenceQwen2) -> None:
    """Two sequences side by side, in four chunks and in one; then one in a slot where another has been.

    The long one fills the context. Histories of the short one are for a stage of 8 rows, and then of 16.
    """
    expected = [reference.greedy(FULL, CONTEXT - len(FULL)), reference.greedy(SHORT, 5)]
    with running(history, bmrt_library) as engine:
        assert answers(engine, FULL, SHORT, count=5) == expected
        assert answers(engine, SHORT, count=2) == [expected[1][:2]]


def test_a_runtime_that_knows_no_smaller_shapes(
    history: Converted, sail_library: SailLibrary, reference: ReferenceQwen2
) -> None:
    """The first chunk is padded then, and the tokens behind it are read singly."""
    with running(history, sail_library) as engine:
        assert answers(engine, LONGER, SHORT, count=2) == [
            reference.greedy(prompt, 2) for prompt in (LONGER, SHORT)
        ]


def test_a_padded_prompt_and_its_further_tokens(
    logits: Converted, bmrt_library: BmrtLibrary, wide: ReferenceQwen2
) -> None:
    expected = [wide.greedy(prompt, 3) for prompt in (LONGER, SHORT)]
    with running(logits, bmrt_library) as engine:
        assert answers(engine, LONGER, SHORT, count=3) == expected
        assert answers(engine, SHORT, count=1, sampling=Sampling(logprobs=3)) == [expected[1][:1]]


@pytest.mark.parametrize("variant", ["history", "logits"])
def test_what_is_not_a_number_is_noticed_and_forgotten(
    variant: str, request: pytest.FixtureRequest, bmrt_library: BmrtLibrary, reference: ReferenceQwen2
) -> None:
    with running(request.getfixturevalue(variant), bmrt_library) as engine:
        sequence = engine.admit([NOT_A_NUMBER, *SHORT], Sampling())
        (progress,) = engine.step()
        assert isinstance(progress.error, NotNumbersError)
        engine.discard(sequence)
        assert answers(engine, SHORT, count=2) == [reference.greedy(SHORT, 2)]


class TestServed:
    """The directory as the converter leaves it, by the whole daemon."""

    def test_answers_and_prompts_are_the_model_s_own(
        self, frontend: Toolchain, history: Converted, reference: ReferenceQwen2, tmp_path: Path
    ) -> None:
        with simulated_daemon(history.bmodel.parent, tmp_path, frontend.simulator) as daemon:
            (warning,) = [record["message"] for record in daemon.log if record["level"] == "warning"]
            assert "has no manifest: nobody vouches for its files" in warning
            daemon.expected_trouble = {warning}
            model = daemon.stub.GetModel(wire.GetModelRequest(), timeout=PATIENCE)
            assert (model.architecture, model.target, model.sampling) == ("qwen2", "bm1684x", False)
            assert (model.context_length, model.vocabulary_size) == (CONTEXT, VOCABULARY)
            assert answer_ids(daemon, LONGER, 3) == reference.greedy(LONGER, 3)
            asked = daemon.stub.Tokenize(wire.TokenizeRequest(instruction="sort"), timeout=PATIENCE)
            assert asked.token_ids == encoded(history, f"{START}user\nsort{END}\n{START}assistant\n")

    def test_sampling_where_there_are_logits(
        self, frontend: Toolchain, logits: Converted, wide: ReferenceQwen2, tmp_path: Path
    ) -> None:
        with simulated_daemon(logits.bmodel.parent, tmp_path, frontend.simulator) as daemon:
            daemon.expected_trouble = {r["message"] for r in daemon.log if "nobody vouches" in r["message"]}
            assert daemon.stub.GetModel(wire.GetModelRequest(), timeout=PATIENCE).sampling
            request = wire.GenerateRequest(
                token_ids=wire.TokenIds(ids=SHORT),
                sampling=wire.SamplingOptions(temperature=1, top_k=1),
                stopping=wire.StoppingOptions(max_new_tokens=2),
                response=wire.ResponseOptions(token_ids=True),
            )
            assert ask(daemon.stub, request).token_ids == wide.greedy(SHORT, 2)


def encoded(converted: Converted, prompt: str) -> list[int]:
    """Token ids, of which one is that of each special token."""
    ids: list[int] = Tokenizer.from_file(str(converted.config / "tokenizer.json")).encode(prompt).ids
    assert ids.count(END_ID) == 1
    return ids


def test_networks_that_pad_and_give_logits(logits: Converted) -> None:
    assert signatures(logits) == {
        **embeddings("bfloat16"),
        **{
            f"block_{layer}": block("bfloat16", f"bfloat16[1,1,{CHUNK},{CHUNK}]", dynamic=False)
            for layer in (0, 1)
        },
        **{f"block_cache_{layer}": decoding_block("bfloat16", CONTEXT) for layer in (0, 1)},
        "lm_head": (False, [(f"bfloat16[1,{HIDDEN}]", f"float32[1,{VOCABULARY}]")]),
        "greedy_head": (True, [(f"float32[1,{VOCABULARY}]", "int32[1,1]")]),
        "sample_head": (
            True,
            [
                (
                    f"float32[1,{VOCABULARY}]",
                    f"int32[1,{CONTEXT}]",
                    *("float32[1]", "float32[1]", "int32[1]", "float32[1]"),
                    *("float32[1,50]", "int32[1,50]"),
                )
            ],
        ),
    }


def test_networks_that_take_what_there_is(history: Converted) -> None:
    assert signatures(history) == {
        **embeddings("float16"),
        **{f"block_{layer}": block("float16", dynamic=True) for layer in (0, 1)},
        **{f"block_kv_{layer}": block("float16", *rows("float16", CONTEXT), dynamic=True) for layer in (0, 1)},
        **{f"block_cache_{layer}": decoding_block("float16", CONTEXT, 16, 8) for layer in (0, 1)},
        "lm_head": (False, [(f"float16[1,{HIDDEN}]", "int32[1,1]")]),
    }


def test_the_checkpoint_comes_along_without_its_weights(history: Converted) -> None:
    names = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"]
    assert sorted(path.name for path in history.config.iterdir()) == names


def embeddings(dtype: str) -> dict[str, Signature]:
    return {
        "embedding": (False, [(f"int32[1,{CHUNK}]", f"{dtype}[1,{CHUNK},{HIDDEN}]")]),
        "embedding_cache": (False, [("int32[1,1]", f"{dtype}[1,1,{HIDDEN}]")]),
    }


def block(dtype: str, *others: str, dynamic: bool) -> Signature:
    hidden = f"{dtype}[1,{CHUNK},{HIDDEN}]"
    return dynamic, [(hidden, f"int32[1,{CHUNK}]", *others, hidden, *rows(dtype, CHUNK))]


def decoding_block(dtype: str, *histories: int) -> Signature:
    hidden = f"{dtype}[1,1,{HIDDEN}]"
    return False, [
        (hidden, "int32[1,1]", f"{dtype}[1,1,1,{length + 1}]", *rows(dtype, length), hidden, *rows(dtype, 1))
        for length in histories
    ]


def rows(dtype: str, count: int) -> tuple[str, str]:
    """Keys and values."""
    rows = f"{dtype}[1,{count},{ARCHITECTURE.kv_heads},{ARCHITECTURE.head_dim}]"
    return rows, rows


def signatures(converted: Converted) -> dict[str, Signature]:
    return {
        net.name: (net.dynamic, [tuple(map(plain, (*s.inputs, *s.outputs))) for s in net.stages])
        for net in read_model(converted.bmodel).nets
    }


def plain(tensor: Tensor) -> str:
    return f"{tensor.dtype}[{','.join(map(str, tensor.shape))}]"
