"""Which of a device's networks make up the model, and that each is of the shape the engine counts on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from wizardtpud.device.runtime import Network, TensorSpec
from wizardtpud.errors import BundleError
from wizardtpud.model.manifest import Architecture, Manifest, NetworkEntry

_INT32 = np.dtype(np.int32)


@dataclass(frozen=True)
class StepNetworks:
    """Names of the networks that take `tokens` new tokens of each of `batch` sequences.

    Attributes:
        blocks: one network per layer, in order.
        lm_head: hidden states of one token of each sequence to logits.
        greedy_head: logits to the most likely token, if the bundle has it.
    """

    batch: int
    tokens: int
    embedding: str
    blocks: tuple[str, ...]
    lm_head: str
    greedy_head: str | None


@dataclass(frozen=True)
class Layout:
    """The model as the engine sees it.

    Attributes:
        architecture: its numbers.
        context: rows of the KV cache, one per token of a sequence.
        dtype: of hidden states, attention masks, keys and values, and logits.
        steps: by batch, then tokens; there is one for a single token of a single sequence.
    """

    architecture: Architecture
    context: int
    dtype: np.dtype[Any]
    steps: tuple[StepNetworks, ...]


def resolve(manifest: Manifest, networks: Mapping[str, Network]) -> Layout:
    """Finds the networks of the manifest among those of a device and checks their tensors.

    Raises:
        BundleError: a network is missing, or its tensors are not those of its role.
    """
    dtype = _float_type(manifest, networks)
    for entry in manifest.networks:
        _check(entry.file, _find(entry, networks), *_tensors(entry, manifest, dtype))
    shapes = sorted({(entry.batch, entry.tokens) for entry in manifest.networks if entry.tokens is not None})
    steps = tuple(_step(manifest, batch, tokens) for batch, tokens in shapes)
    return Layout(manifest.architecture, manifest.context, dtype, steps)


def _find(entry: NetworkEntry, networks: Mapping[str, Network]) -> Network:
    if entry.name not in networks:
        raise BundleError(f"{entry.file} has no network {entry.name}; rebuild the bundle with wizardtpu-compile")
    return networks[entry.name]


def _float_type(manifest: Manifest, networks: Mapping[str, Network]) -> np.dtype[Any]:
    """The float type of a bundle is what its embeddings give."""
    entry = next(entry for entry in manifest.networks if entry.role == "embedding")
    network = _find(entry, networks)
    if len(network.outputs) != 1 or network.outputs[0].dtype.kind != "f":
        raise BundleError(f"{entry.name} in {entry.file} does not give hidden states of a float type")
    return network.outputs[0].dtype


def _tensors(
    entry: NetworkEntry, manifest: Manifest, dtype: np.dtype[Any]
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs that a network of this role has."""
    numbers, batch, tokens, history = manifest.architecture, entry.batch, entry.tokens or 1, entry.history or 0
    ids = (batch, tokens)
    hidden, logits = (batch, tokens, numbers.hidden), (batch, numbers.vocabulary)
    rows = (batch, history, numbers.kv_heads, numbers.head_dim)
    new_rows = (batch, tokens, numbers.kv_heads, numbers.head_dim)
    mask = (batch, 1, tokens, history + tokens)

    def floats(name: str, shape: tuple[int, ...]) -> TensorSpec:
        return TensorSpec(name, shape, dtype)

    hidden_states = floats("hidden_states", hidden)
    if entry.role == "embedding":
        return (TensorSpec("input_ids", ids, _INT32), TensorSpec("position_ids", ids, _INT32)), (hidden_states,)
    if entry.role == "lm_head":
        return (hidden_states,), (floats("logits", logits),)
    if entry.role == "greedy_head":
        return (floats("logits", logits),), (TensorSpec("token", (batch, 1), _INT32),)
    return (
        (hidden_states, floats("attention_mask", mask), floats("history_k", rows), floats("history_v", rows)),
        (floats("hidden_states_out", hidden), floats("new_k", new_rows), floats("new_v", new_rows)),
    )


def _check(file: str, network: Network, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> None:
    for kind, found, expected in (("inputs", network.inputs, inputs), ("outputs", network.outputs, outputs)):
        if found != expected:
            raise BundleError(
                f"{file}: the {kind} of {network.name} are ({_text(found)}) instead of ({_text(expected)}); "
                "rebuild the bundle with wizardtpu-compile"
            )


def _text(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"{spec.name} {spec.dtype}{list(spec.shape)}" for spec in specs)


def _step(manifest: Manifest, batch: int, tokens: int) -> StepNetworks:
    entries = [entry for entry in manifest.networks if entry.batch == batch]
    blocks = sorted((e.first_layer or 0, e.name) for e in entries if e.role == "block" and e.tokens == tokens)
    return StepNetworks(
        batch=batch,
        tokens=tokens,
        embedding=next(e.name for e in entries if e.role == "embedding" and e.tokens == tokens),
        blocks=tuple(name for _, name in blocks),
        lm_head=next(e.name for e in entries if e.role == "lm_head"),
        greedy_head=next((e.name for e in entries if e.role == "greedy_head"), None),
    )
