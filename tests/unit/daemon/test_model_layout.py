"""Finding the model's networks among those of a device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from wizardtpud.device.runtime import Network, Runtime, TensorSpec
from wizardtpud.errors import BundleError, DeviceError
from wizardtpud.model.bundle import Bundle
from wizardtpud.model.layout import resolve
from wizardtpud.model.loading import load
from wizardtpud.model.manifest import Manifest


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
    assert layout.steps[1].blocks == ("block_0_b1_t4_s40", "block_1_b1_t4_s40")
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


def test_an_unknown_device(bundle: Bundle) -> None:
    with pytest.raises(DeviceError, match="unknown device 'gpu'; known: cpu"):
        load(bundle, "gpu")


def test_a_bundle_for_another_device(bundle: Bundle) -> None:
    other = replace(bundle, manifest=msgspec.structs.replace(bundle.manifest, target="bm1684x"))
    with pytest.raises(BundleError, match=r"is for bm1684x, not for cpu.*--target cpu"):
        load(other, "cpu")


def test_loading_reports_the_bytes_of_every_network_file(bundle: Bundle) -> None:
    seen: list[tuple[int, int]] = []
    load(bundle, "cpu", on_progress=lambda *progress: seen.append(progress)).close()
    files = {network.file for network in bundle.manifest.networks}
    total = sum(bundle.manifest.files[name].bytes for name in files)
    assert len(seen) == len(files)
    assert seen[-1] == (total, total)
