"""Finding the model's networks among those of a device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import msgspec
import numpy as np
import pytest
from wizardtpud.device.runtime import Network, Runtime, TensorSpec
from wizardtpud.errors import BundleError
from wizardtpud.model.bundle import Bundle
from wizardtpud.model.layout import BlockNetwork, resolve
from wizardtpud.model.loading import load
from wizardtpud.model.manifest import Manifest

from tests.support.small_bundle import block, manifest

Shaped = tuple[str, tuple[int, ...]]


@pytest.fixture(scope="module")
def bundle(random_bundle: Path) -> Bundle:
    return Bundle.open(random_bundle)


@pytest.fixture(scope="module")
def runtime(bundle: Bundle) -> Iterator[Runtime]:
    with load(bundle, "cpu") as runtime:
        yield runtime


def test_the_networks_of_every_step(bundle: Bundle, runtime: Runtime) -> None:
    layout = resolve(bundle.manifest, runtime.networks)
    assert layout.context == 40
    assert layout.dtype == np.float32
    assert [(step.batch, step.tokens) for step in layout.steps] == [(1, 1), (1, 4), (1, 16)]
    assert layout.steps[1].embedding == "embedding_b1_t4"
    assert layout.steps[1].blocks == (BlockNetwork("block_0_b1_t4_s40", 1), BlockNetwork("block_1_b1_t4_s40", 1))
    assert {step.lm_head for step in layout.steps} == {"lm_head_b1"}
    assert {step.greedy_head for step in layout.steps} == {"greedy_head_b1"}


def test_without_a_greedy_head(bundle: Bundle, runtime: Runtime) -> None:
    networks = [network for network in bundle.manifest.networks if network.role != "greedy_head"]
    layout = resolve(msgspec.structs.replace(bundle.manifest, networks=networks), runtime.networks)
    assert {step.greedy_head for step in layout.steps} == {None}


def test_layers_are_in_order_whatever_the_manifest_s(bundle: Bundle, runtime: Runtime) -> None:
    shuffled: Manifest = msgspec.structs.replace(bundle.manifest, networks=bundle.manifest.networks[::-1])
    assert resolve(shuffled, runtime.networks) == resolve(bundle.manifest, runtime.networks)


@pytest.mark.parametrize("name", ["embedding_b1_t1", "block_1_b1_t16_s40", "lm_head_b1", "greedy_head_b1"])
def test_a_network_is_missing(bundle: Bundle, runtime: Runtime, name: str) -> None:
    networks = {key: network for key, network in runtime.networks.items() if key != name}
    with pytest.raises(BundleError, match=f"has no network {name}"):
        resolve(bundle.manifest, networks)


@pytest.fixture
def both_layers() -> tuple[Manifest, dict[str, Network]]:
    """A model of two layers in one block, in bfloat16."""
    description = manifest()
    steps = [e for e in description.networks if e.role == "embedding" and e.tokens == 4]
    heads = [e for e in description.networks if e.role == "lm_head"]
    block_of_both = msgspec.structs.replace(block(0, 4), layers=2)
    bfloat16, int32 = np.dtype(ml_dtypes.bfloat16), np.dtype(np.int32)

    def network(name: str, inputs: list[Shaped], outputs: list[Shaped]) -> Network:
        def specs(tensors: list[Shaped]) -> tuple[TensorSpec, ...]:
            return tuple(TensorSpec(n, shape, int32 if n.endswith("ids") else bfloat16) for n, shape in tensors)

        return Network(name, specs(inputs), specs(outputs))

    past, new = (1, 8, 1, 2), (1, 4, 1, 2)
    networks = [
        network(
            "embedding_b1_t4", [("input_ids", (1, 4)), ("position_ids", (1, 4))], [("hidden_states", (1, 4, 6))]
        ),
        network(
            "block_0_b1_t4_s8",
            [
                ("hidden_states", (1, 4, 6)),
                ("attention_mask", (1, 1, 4, 12)),
                ("history_k_0", past),
                ("history_v_0", past),
                ("history_k_1", past),
                ("history_v_1", past),
            ],
            [
                ("hidden_states_out", (1, 4, 6)),
                ("new_k_0", new),
                ("new_v_0", new),
                ("new_k_1", new),
                ("new_v_1", new),
            ],
        ),
        network("lm_head_b1", [("hidden_states", (1, 1, 6))], [("logits", (1, 10))]),
    ]
    entries = [*heads, *steps, block_of_both]
    return msgspec.structs.replace(description, networks=entries), {network.name: network for network in networks}


def test_a_block_of_several_layers_in_bfloat16(both_layers: tuple[Manifest, dict[str, Network]]) -> None:
    layout = resolve(*both_layers)
    assert layout.dtype == np.dtype(ml_dtypes.bfloat16)
    assert layout.steps[0].blocks == (BlockNetwork("block_0_b1_t4_s8", 2),)


def test_the_layers_of_a_block_are_in_order(both_layers: tuple[Manifest, dict[str, Network]]) -> None:
    description, networks = both_layers
    found = networks["block_0_b1_t4_s8"]
    wrong = replace(found, inputs=(*found.inputs[:2], *found.inputs[4:], *found.inputs[2:4]))
    with pytest.raises(
        BundleError, match=r"the inputs of block_0_b1_t4_s8 are .*history_k_1 bfloat16\[1, 8, 1, 2\]"
    ):
        resolve(description, {**networks, wrong.name: wrong})


def test_float_types_do_not_mix(both_layers: tuple[Manifest, dict[str, Network]]) -> None:
    description, networks = both_layers
    found = networks["lm_head_b1"]
    wrong = replace(found, outputs=(replace(found.outputs[0], dtype=np.dtype(np.float16)),))
    with pytest.raises(BundleError, match=r"logits float16\[1, 10\]\) instead of \(logits bfloat16"):
        resolve(description, {**networks, wrong.name: wrong})


def changed(tensor: TensorSpec, kind: str) -> TensorSpec:
    if kind == "name":
        return replace(tensor, name="x")
    if kind == "dtype":
        return replace(tensor, dtype=np.dtype(np.float16 if tensor.dtype == np.int32 else np.int32))
    return replace(tensor, shape=(*tensor.shape[:-1], tensor.shape[-1] + 1))


@pytest.mark.parametrize("kind", ["name", "dtype", "shape"])
@pytest.mark.parametrize("name", ["embedding_b1_t4", "block_0_b1_t4_s40", "lm_head_b1", "greedy_head_b1"])
def test_every_tensor_is_checked(bundle: Bundle, runtime: Runtime, name: str, kind: str) -> None:
    network = runtime.networks[name]
    for index, tensor in enumerate((*network.inputs, *network.outputs)):
        tensors = [*network.inputs, *network.outputs]
        tensors[index] = changed(tensor, kind)
        split = len(network.inputs)
        wrong = Network(name, tuple(tensors[:split]), tuple(tensors[split:]))
        with pytest.raises(BundleError, match=f"(puts of {name} are .* instead of)|(float type)"):
            resolve(bundle.manifest, {**runtime.networks, name: wrong})
