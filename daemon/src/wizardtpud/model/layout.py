"""Which of a device's networks make up the model, and that each is of the shape the engine counts on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wizardtpud.device.runtime import Network, TensorSpec
from wizardtpud.errors import BundleError
from wizardtpud.model.manifest import Architecture, Manifest, NetworkEntry

_INT32 = np.dtype(np.int32)


@dataclass(frozen=True)
class BlockNetwork:
    """The network of some layers that follow each other: its name, and how many they are."""

    name: str
    layers: int


@dataclass(frozen=True)
class StepNetworks:
    """Names of the networks that take `tokens` new tokens of each of `batch` sequences.

    Attributes:
        blocks: in order; together they hold every layer once.
        lm_head: hidden states of one token of each sequence to logits.
        greedy_head: logits to the most likely token, if the bundle has it.
        cycles: the compiler's estimate for the embedding and the blocks, if it made one.
    """

    batch: int
    tokens: int
    embedding: str
    blocks: tuple[BlockNetwork, ...]
    lm_head: str
    greedy_head: str | None
    cycles: int | None = None


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
    if len(network.outputs) != 1 or not _is_float(network.outputs[0].dtype):
        raise BundleError(f"{entry.name} in {entry.file} does not give hidden states of a float type")
    return network.outputs[0].dtype


def _is_float(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "f" or dtype.name == "bfloat16"  # which numpy does not count among its own


def _tensors(
    entry: NetworkEntry, manifest: Manifest, dtype: np.dtype[Any]
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs that a network of this role has."""
    numbers, batch, ids = manifest.architecture, entry.batch, (entry.batch, entry.tokens or 1)
    hidden_states = TensorSpec("hidden_states", (*ids, numbers.hidden), dtype)
    logits = TensorSpec("logits", (batch, numbers.vocabulary), dtype)
    if entry.role == "embedding":
        return (TensorSpec("input_ids", ids, _INT32), TensorSpec("position_ids", ids, _INT32)), (hidden_states,)
    if entry.role == "lm_head":
        return (hidden_states,), (logits,)
    if entry.role == "greedy_head":
        return (logits,), (TensorSpec("token", (batch, 1), _INT32),)
    tokens, history = entry.tokens or 0, entry.history or 0
    mask = TensorSpec("attention_mask", (batch, 1, tokens, history + tokens), dtype)
    output = TensorSpec("hidden_states_out", hidden_states.shape, dtype)
    past, new = _rows("history", entry, history, numbers, dtype), _rows("new", entry, tokens, numbers, dtype)
    return (hidden_states, mask, *past), (output, *new)


def _rows(
    kind: str, entry: NetworkEntry, count: int, numbers: Architecture, dtype: np.dtype[Any]
) -> Iterator[TensorSpec]:
    """Keys and values of each layer of a block; several layers are counted from 0 in the names."""
    shape = (entry.batch, count, numbers.kv_heads, numbers.head_dim)
    layers = entry.layers or 1
    for suffix in ("",) if layers == 1 else (f"_{index}" for index in range(layers)):
        yield TensorSpec(f"{kind}_k{suffix}", shape, dtype)
        yield TensorSpec(f"{kind}_v{suffix}", shape, dtype)


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
    blocks = sorted(
        (e.first_layer or 0, e.name, e.layers or 1) for e in entries if e.role == "block" and e.tokens == tokens
    )
    return StepNetworks(
        batch=batch,
        tokens=tokens,
        embedding=next(e.name for e in entries if e.role == "embedding" and e.tokens == tokens),
        blocks=tuple(BlockNetwork(name, layers) for _, name, layers in blocks),
        lm_head=next(e.name for e in entries if e.role == "lm_head"),
        greedy_head=next((e.name for e in entries if e.role == "greedy_head"), None),
        cycles=_cycles([e for e in entries if e.tokens == tokens]),
    )


def _cycles(entries: Sequence[NetworkEntry]) -> int | None:
    known = [entry.cycles for entry in entries if entry.cycles is not None]
    return sum(known) if len(known) == len(entries) else None
