"""The networks of bmodels that the vendor's `llm_convert.py` makes, found by name and shape.

| network | inputs | outputs |
|---|---|---|
| `embedding` | ids i32 [1,T] | hidden [1,T,H] |
| `embedding_cache` | ids i32 [1,1] | hidden [1,1,H] |
| `block_{i}` | hidden [1,T,H], positions i32 [1,T], mask [1,1,T,T] | hidden, rows of T tokens |
| or, dynamic: 1 to T tokens | hidden [1,T,H], positions i32 [1,T] | hidden, rows of as many |
| `block_kv_{i}`, likewise | hidden [1,T,H], positions i32 [1,T], rows of 1 to S tokens | hidden, rows of as many |
| `block_cache_{i}` | hidden [1,1,H], position i32 [1,1], mask [1,1,1,S+1], rows of S tokens | hidden, row |
| `lm_head` | hidden [1,H] | token i32 [1,1], or logits f32 [1,V] |
| `greedy_head`, if there are logits | logits f32 [1,V] | token i32 [1,1] |

Rows are two tensors [1,n,K,D], keys and values. Hidden states, masks and rows are of one float type. `block_cache`
may have more stages, for fewer rows than S.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from wizardtpud.device.runtime import Network
from wizardtpud.errors import BundleError
from wizardtpud.model.manifest import Architecture
from wizardtpud.model.signature import FLOAT, INT, Plain, check, find

_NAME = "llm-convert"
_WITHOUT_MASK = 2
"""Inputs of a `block` that has the mask within."""

Signature = tuple[list[Plain], list[Plain]]
"""Inputs and outputs."""


@dataclass(frozen=True)
class LlmConvertLayout:
    """The numbers of the model, and which networks there are.

    Attributes:
        context: S, rows that a layer looks back on.
        chunk: T, tokens of a prompt that are read at once.
        row: K and D, the shape of a token's key, and of its value.
        dtype: of hidden states, masks, keys and values.
        masked: whether the networks of T tokens are to be told the mask; else they have it within.
        dynamic: whether they read only as many tokens as there are; else a prompt is padded.
        continues: whether there are networks to read a prompt further by up to T tokens.
        histories: rows that each stage of `block_cache` looks back on.
        gives_logits: whether the head gives logits, not a token.
    """

    layers: int
    hidden: int
    vocabulary: int
    context: int
    chunk: int
    row: tuple[int, int]
    dtype: np.dtype[Any]
    masked: bool
    dynamic: bool
    continues: bool
    histories: tuple[int, ...]
    gives_logits: bool


def resolve_llm_convert(
    architecture: Architecture, context: int, networks: Mapping[str, Network]
) -> LlmConvertLayout:
    """Checks that all networks of a model are there, with the right tensors.

    Raises:
        BundleError: a network is missing, or its tensors are others.
    """
    embedded = find("embedding", networks, _NAME).outputs[0]
    first, cached = (find(name, networks, _NAME) for name in ("block_0", "block_cache_0"))
    layout = LlmConvertLayout(
        layers=architecture.layers,
        hidden=architecture.hidden,
        vocabulary=architecture.vocabulary,
        context=context,
        chunk=prod(embedded.shape[:-1]),
        row=(architecture.kv_heads, architecture.head_dim),
        dtype=embedded.dtype,
        masked=len(first.inputs) > _WITHOUT_MASK,
        dynamic=first.dynamic,
        continues="block_kv_0" in networks,
        histories=tuple(prod(stage.inputs[-1].shape[:2]) for stage in cached.stages),
        gives_logits="greedy_head" in networks,
    )
    if max(layout.histories) != context:
        raise BundleError(f"the bmodel is for a context of {max(layout.histories)} tokens, not of {context}")
    for name, signatures in _signatures(layout):
        stages = find(name, networks, _NAME).stages
        if len(stages) != len(signatures):
            raise BundleError(f"{name} has {len(stages)} stages instead of {len(signatures)}")
        for stage, (inputs, outputs) in zip(stages, signatures, strict=True):
            check(name, stage, inputs, outputs)
    return layout


def _signatures(layout: LlmConvertLayout) -> Iterator[tuple[str, list[Signature]]]:
    """Networks, and what each of their stages must be like."""
    chunk, context = layout.chunk, layout.context
    yield "embedding", [([_ids(chunk)], [_hidden(layout, chunk)])]
    yield "embedding_cache", [([_ids(1)], [_hidden(layout, 1)])]
    masks = [_mask(layout, chunk, chunk)] if layout.masked else []
    for layer in range(layout.layers):
        yield f"block_{layer}", [_block(layout, chunk, masks)]
        if layout.continues:
            yield f"block_kv_{layer}", [_block(layout, chunk, _rows(layout, context))]
        yield (
            f"block_cache_{layer}",
            [_block(layout, 1, [_mask(layout, 1, rows + 1), *_rows(layout, rows)]) for rows in layout.histories],
        )
    hidden, logits, token = (layout.dtype, (1, layout.hidden)), (FLOAT, (1, layout.vocabulary)), (INT, (1, 1))
    yield "lm_head", [([hidden], [logits if layout.gives_logits else token])]
    if layout.gives_logits:
        yield "greedy_head", [([logits], [token])]


def _block(layout: LlmConvertLayout, tokens: int, others: list[Plain]) -> Signature:
    hidden = _hidden(layout, tokens)
    return [hidden, _ids(tokens), *others], [hidden, *_rows(layout, tokens)]


def _ids(tokens: int) -> Plain:
    return INT, (1, tokens)


def _hidden(layout: LlmConvertLayout, tokens: int) -> Plain:
    return layout.dtype, (1, tokens, layout.hidden)


def _mask(layout: LlmConvertLayout, tokens: int, seen: int) -> Plain:
    return layout.dtype, (1, 1, tokens, seen)


def _rows(layout: LlmConvertLayout, count: int) -> list[Plain]:
    """Keys and values."""
    return [(layout.dtype, (1, count, *layout.row))] * 2
