"""Finding the networks of a bmodel of the vendor's converter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from wizardtpud.device.runtime import Network, Stage, TensorSpec
from wizardtpud.errors import BundleError
from wizardtpud.model.llm_convert_layout import LlmConvertLayout, resolve_llm_convert
from wizardtpud.model.manifest import Architecture

T, S, H, K, D, V = 8, 32, 64, 2, 16, 300
ARCHITECTURE = Architecture(
    family="qwen2", layers=2, hidden=H, heads=4, kv_heads=K, head_dim=D, inner=128, vocabulary=V, positions=S
)
HALF, FLOAT, INT = np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.int32)
Tensors = tuple[TensorSpec, ...]
Networks = dict[str, Network]


def tensors(*shapes: tuple[int, ...], dtype: np.dtype[np.generic] = HALF) -> Tensors:
    return tuple(TensorSpec(f"tensor_{index}", shape, dtype) for index, shape in enumerate(shapes))


def ids(tokens: int) -> Tensors:
    return tensors((1, tokens), dtype=INT)


def rows(count: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return (1, count, K, D), (1, count, K, D)


def block(name: str, tokens: int, *others: tuple[int, ...], dynamic: bool = False) -> Network:
    hidden = (1, tokens, H)
    inputs = tensors(hidden) + ids(tokens) + tensors(*others)
    return Network(name, inputs, tensors(hidden, *rows(tokens)), dynamic=dynamic)


def cached(layer: int, *histories: int) -> Network:
    first, *others = (block("", 1, (1, 1, 1, count + 1), *rows(count)) for count in histories)
    stages = tuple(Stage(one.inputs, one.outputs) for one in others)
    return replace(first, name=f"block_cache_{layer}", further_stages=stages)


def common() -> Iterator[Network]:
    yield Network("embedding", ids(T), tensors((1, T, H)))
    yield Network("embedding_cache", ids(1), tensors((1, 1, H)))


def padding() -> Networks:
    """With logits, and prompts of T tokens, at once."""
    logits = tensors((1, V), dtype=FLOAT)
    networks = [
        *common(),
        *(block(f"block_{layer}", T, (1, 1, T, T)) for layer in (0, 1)),
        *(cached(layer, S) for layer in (0, 1)),
        Network("lm_head", tensors((1, H)), logits),
        Network("greedy_head", logits, ids(1), dynamic=True),
        Network("sample_head", logits, logits, dynamic=True),
    ]
    return {network.name: network for network in networks}


def exact() -> Networks:
    """With tokens, and prompts of any length in chunks of up to T."""
    networks = [
        *common(),
        *(block(f"block_{layer}", T, dynamic=True) for layer in (0, 1)),
        *(block(f"block_kv_{layer}", T, *rows(S), dynamic=True) for layer in (0, 1)),
        *(cached(layer, S, 16, 8) for layer in (0, 1)),
        Network("lm_head", tensors((1, H)), ids(1)),
    ]
    return {network.name: network for network in networks}


PADDING = LlmConvertLayout(
    layers=2,
    hidden=H,
    vocabulary=V,
    context=S,
    chunk=T,
    row=(K, D),
    dtype=HALF,
    masked=True,
    dynamic=False,
    continues=False,
    histories=(S,),
    gives_logits=True,
)


def test_networks_that_pad_and_give_logits() -> None:
    assert resolve_llm_convert(ARCHITECTURE, S, padding()) == PADDING


def test_a_runtime_that_runs_them_in_their_own_shapes_alone() -> None:
    networks = {name: replace(network, dynamic=False) for name, network in exact().items()}
    layout = resolve_llm_convert(ARCHITECTURE, S, networks)
    assert (layout.masked, layout.dynamic) == (False, False)


def test_networks_that_take_what_there_is() -> None:
    assert resolve_llm_convert(ARCHITECTURE, S, exact()) == replace(
        PADDING, masked=False, dynamic=True, continues=True, histories=(S, 16, 8), gives_logits=False
    )


@pytest.mark.parametrize(
    "name",
    [
        "embedding",
        "embedding_cache",
        "block_0",
        "block_1",
        "block_kv_1",
        "block_cache_0",
        "block_cache_1",
        "lm_head",
    ],
)
def test_a_network_is_missing(name: str) -> None:
    networks = exact()
    del networks[name]
    with pytest.raises(BundleError, match=f"no network {name}, which the layout llm-convert needs"):
        resolve_llm_convert(ARCHITECTURE, S, networks)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (block("block_1", T), r"inputs of block_1 are .* instead of .* float16\[1, 1, 8, 8\]"),
        (block("block_1", T + 1, (1, 1, T, T)), r"inputs of block_1 are \(float16\[1, 9, 64\]"),
        (cached(1, S, 16), "block_cache_1 has 2 stages instead of 1"),
        (cached(1, S + 1), r"inputs of block_cache_1 are .*float16\[1, 1, 1, 34\].*instead of"),
        (cached(0, S // 2), "for a context of 16 tokens, not of 32"),
        (Network("lm_head", tensors((1, H)), ids(1)), r"outputs of lm_head are \(int32\[1, 1\]\) instead of"),
        (Network("embedding_cache", ids(1), tensors((1, 1, H), dtype=FLOAT)), r"outputs of embedding_cache"),
    ],
)
def test_a_network_is_another(changed: Network, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        resolve_llm_convert(ARCHITECTURE, S, padding() | {changed.name: changed})


def test_another_model() -> None:
    with pytest.raises(BundleError, match=r"outputs of embedding are \(float16\[1, 8, 64\]\) instead of"):
        resolve_llm_convert(msgspec.structs.replace(ARCHITECTURE, hidden=2 * H), S, padding())
