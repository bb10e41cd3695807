"""A model in the layout of the vendor's `llm_convert.py`, among the networks that a device has loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import Self

from wizardtpud.device.runtime import Network
from wizardtpud.model.manifest import Manifest

_WITHOUT_MASK = 2
"""Inputs of a `block` that has the mask within."""
_KEYS = 3
"""Input of `block_cache`."""

_INT32 = np.dtype(np.int32)


@dataclass(frozen=True)
class LoadedLlmConvert:
    """The numbers of the model, and which networks it has.

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

    @classmethod
    def of(cls, manifest: Manifest, networks: Mapping[str, Network]) -> Self:
        """Looks at the first layer: that the others are like it was checked when the file was."""
        embedded, first, cached = networks["embedding"].outputs[0], networks["block_0"], networks["block_cache_0"]
        _, _, heads, width = cached.inputs[_KEYS].shape
        return cls(
            layers=manifest.architecture.layers,
            hidden=manifest.architecture.hidden,
            vocabulary=manifest.architecture.vocabulary,
            context=manifest.context,
            chunk=embedded.shape[1],
            row=(heads, width),
            dtype=embedded.dtype,
            masked=len(first.inputs) > _WITHOUT_MASK,
            dynamic=first.dynamic,
            continues="block_kv_0" in networks,
            histories=tuple(stage.inputs[_KEYS].shape[1] for stage in cached.stages),
            gives_logits=networks["lm_head"].outputs[0].dtype != _INT32,
        )
