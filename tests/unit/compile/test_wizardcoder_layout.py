"""The networks of the original demonstration: what they are, and that they compute the model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.emit import static_onnx
from wizardtpu_compile.network.reference import Arrays, evaluate
from wizardtpu_compile.network.wizardcoder_tpu import MASKED, Stage, stages

from tests.support.reference_gpt_bigcode import ReferenceModel

CONTEXT, WIDTH, HEAD_DIM, LAYERS = 16, 64, 16, 2
PROMPT = [17, 3, 300, 42, 42]


@pytest.fixture(scope="module")
def model(sound_checkpoint: Path) -> list[Stage]:
    return list(stages(Checkpoint.open(sound_checkpoint), CONTEXT))


def run(stage: Stage, *inputs: NDArray[Any]) -> list[NDArray[Any]]:
    """The outputs of a network, as its description says."""
    named = {value.name: array for value, array in zip(stage.network.inputs, inputs, strict=True)}
    return list(evaluate(stage.network, [named])[0].values())


def shapes(stage: Stage) -> list[tuple[int, ...]]:
    values = (*stage.network.inputs, *stage.network.outputs)
    return [tuple(dim if isinstance(dim, int) else stage.sizes[dim] for dim in value.shape) for value in values]


def causal() -> NDArray[np.float32]:
    return np.triu(np.full((1, 1, CONTEXT, CONTEXT), MASKED, np.float32), k=1)


def test_the_networks_are_the_published_ones(model: list[Stage]) -> None:
    assert [(stage.name, shapes(stage)) for stage in model] == [
        ("embedding", [(1, 1), (1, 1), (1, 1, WIDTH)]),
        ("embedding", [(1, CONTEXT), (1, CONTEXT), (1, CONTEXT, WIDTH)]),
        *blocks(0),
        *blocks(1),
        ("lm_head", [(1, WIDTH), (1, 1)]),
    ]
    names = [[value.name for value in stage.network.inputs] for stage in model[1:4]]
    assert names == [
        ["input_ids", "input_pos"],
        ["input_states", "attention_mask"],
        ["input_states", "past_cache", "attention_mask"],
    ]


def blocks(layer: int) -> Iterator[tuple[str, list[tuple[int, ...]]]]:
    whole, one = (1, CONTEXT, WIDTH), (1, 1, WIDTH)
    past, more = (1, CONTEXT, 2 * HEAD_DIM), (1, CONTEXT + 1, 2 * HEAD_DIM)
    yield f"block_{layer}", [whole, (1, 1, CONTEXT, CONTEXT), whole, past]
    yield f"block_cache_{layer}", [one, past, (1, 1, 1, CONTEXT + 1), one, more]


def test_an_answer_is_that_of_the_model(model: list[Stage], sound_checkpoint: Path) -> None:
    """Prompt in one step, then a token at a time, with the cache at the end of its rows."""
    one, whole, *layers, head = model
    count = len(PROMPT)
    ids = np.array([PROMPT + [0] * (CONTEXT - count)], np.int32)
    (hidden,) = run(whole, ids, np.arange(CONTEXT, dtype=np.int32)[None])
    pasts = []
    for block in layers[::2]:
        hidden, rows = run(block, hidden, causal())
        pasts.append(np.roll(rows, CONTEXT - count, axis=1))
    answer = [int(run(head, hidden[:, count - 1])[0][0, 0])]
    for place in range(count, count + 6):
        (hidden,) = run(one, np.array([[answer[-1]]], np.int32), np.array([[place]], np.int32))
        mask = np.zeros((1, 1, 1, CONTEXT + 1), np.float32)
        mask[..., : CONTEXT - place] = MASKED
        for layer, block in enumerate(layers[1::2]):
            hidden, rows = run(block, hidden, pasts[layer], mask)
            np.testing.assert_array_equal(rows[:, :-1], pasts[layer])
            pasts[layer] = rows[:, 1:]
        answer.append(int(run(head, hidden[:, 0])[0][0, 0]))
    assert answer == ReferenceModel(sound_checkpoint).greedy(PROMPT, 7)


@pytest.mark.parametrize("name", ["block_1", "block_cache_1"])
def test_the_static_models_compute_what_the_description_says(
    model: list[Stage], tmp_path: Path, name: str
) -> None:
    stage = next(stage for stage in model if stage.name == name)
    random = np.random.default_rng(1)
    count = len(stage.network.inputs)
    inputs: list[NDArray[Any]] = [random.standard_normal(s, np.float32) for s in shapes(stage)[:count]]
    path = tmp_path / "net.onnx"
    static_onnx.write(stage.network, stage.name, stage.sizes, path)
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    named: Arrays = {value.name: array for value, array in zip(stage.network.inputs, inputs, strict=True)}
    for found, expected in zip(session.run(None, named), run(stage, *inputs), strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-5)
