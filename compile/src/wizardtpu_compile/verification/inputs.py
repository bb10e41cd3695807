"""Made-up inputs for networks: the same ones every time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wizardtpu_compile.checkpoint.config import ModelConfig
from wizardtpu_compile.network.description import Network
from wizardtpu_compile.network.reference import Arrays

HIDDEN = -10000.0
"""What the attention mask adds to hide a row."""


@dataclass(frozen=True)
class Shape:
    """New tokens of some sequences, and how many of the rows of history they see."""

    batch: int
    tokens: int
    history: int
    visible: int


def made_up(network: Network, shape: Shape, config: ModelConfig) -> Arrays:
    """Inputs of a network: everything that is not an id, a position or a mask is normally distributed."""
    return {value.name: made_up_input(value.name, value.shape[-1], shape, config) for value in network.inputs}


def made_up_input(name: str, width: int | str, shape: Shape, config: ModelConfig) -> NDArray[Any]:
    """One input by its name; `width` is its last dimension."""
    if name == "attention_mask":
        return _mask(shape)
    places = np.arange(shape.batch * shape.tokens, dtype=np.int32).reshape(shape.batch, shape.tokens)
    if name == "position_ids":
        return places % shape.tokens
    if name == "input_ids":
        # 7919 is a prime that takes the ids all over the vocabulary.
        return ((places.astype(np.int64) + 1) * 7919 % config.vocab_size).astype(np.int32)
    generator = np.random.default_rng([shape.batch, shape.tokens, *name.encode()])
    return generator.standard_normal(_dimensions(name, int(width), shape), np.float32)


def _dimensions(name: str, width: int, shape: Shape) -> tuple[int, ...]:
    if name.startswith("history"):
        return shape.batch, shape.history, 1, width
    return (shape.batch, width) if name == "logits" else (shape.batch, shape.tokens, width)


def _mask(shape: Shape) -> NDArray[np.float32]:
    """New tokens see the first `visible` rows of history and the new tokens up to themselves."""
    tokens, history = shape.tokens, shape.history
    mask = np.zeros((shape.batch, 1, tokens, history + tokens), np.float32)
    mask[..., shape.visible : history] = HIDDEN
    mask[..., history:] = np.triu(np.full((tokens, tokens), HIDDEN), k=1)
    return mask
