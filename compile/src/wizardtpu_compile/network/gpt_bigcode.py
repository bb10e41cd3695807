"""The networks of a GPTBigCode checkpoint.

Source of the computation: GPTBigCodeForCausalLM of Hugging Face transformers, with one key/value head.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.network.description import (
    BATCH,
    HISTORY,
    TOKENS,
    TOTAL,
    Add,
    ArgMax,
    Attention,
    Gather,
    Gelu,
    LayerNorm,
    Linear,
    Matrix,
    Network,
    Operation,
    Reshape,
    Value,
    Weight,
)

Rows = tuple[Value, Value]
"""Rows of keys and of values, each [B,rows,1,D]."""


def networks(checkpoint: Checkpoint, layers_per_net: int = 1) -> Iterator[Network]:
    """All networks of the checkpoint in the order a token passes them; the last block may have fewer layers."""
    count = checkpoint.config.n_layer
    yield embedding(checkpoint)
    for first in range(0, count, layers_per_net):
        yield block(checkpoint, first, min(layers_per_net, count - first))
    yield lm_head(checkpoint)
    yield greedy_head(checkpoint)


def embedding(checkpoint: Checkpoint) -> Network:
    """input_ids, position_ids [B,T] -> hidden_states [B,T,H]: token plus learned position."""
    config = checkpoint.config
    shape = (BATCH, TOKENS, config.n_embd)
    ids = Value("input_ids", (BATCH, TOKENS), "i32")
    positions = Value("position_ids", (BATCH, TOKENS), "i32")
    tokens, places = Value("token_embedding", shape), Value("position_embedding", shape)
    hidden = Value("hidden_states", shape)
    operations = (
        Gather(_weight(checkpoint, "wte.weight", (config.vocab_size, config.n_embd)), ids, tokens),
        Gather(_weight(checkpoint, "wpe.weight", (config.n_positions, config.n_embd)), positions, places),
        Add(tokens, places, hidden),
    )
    return Network("embedding", (ids, positions), (hidden,), operations)


def block(checkpoint: Checkpoint, first_layer: int, layers: int = 1) -> Network:
    """Some layers over T new tokens with S rows of history; see `Attention` for the shapes.

    With several layers, the names of histories and new rows end in the layer's place among them: history_k_0.
    """
    build = Builder(checkpoint)
    hidden = build.value("hidden_states", checkpoint.config.n_embd)
    mask = Value("attention_mask", (BATCH, 1, TOKENS, TOTAL))
    histories: list[Value] = []
    new_rows: list[Value] = []
    source = hidden
    for place in range(layers):
        suffix = "" if layers == 1 else f"_{place}"
        output = "hidden_states_out" if place == layers - 1 else f"h.{first_layer + place}.output"
        history = build.rows("history", suffix, HISTORY)
        new = build.rows("new", suffix, TOKENS)
        source = build.layer(f"h.{first_layer + place}", source, history, new, mask=mask, output=output)
        histories.extend(history)
        new_rows.extend(new)
    operations = tuple(build.operations)
    return Network("block", (hidden, mask, *histories), (source, *new_rows), operations, first_layer, layers)


def lm_head(checkpoint: Checkpoint) -> Network:
    """hidden_states [B,1,H] -> logits [B,V], with the final LayerNorm."""
    config = checkpoint.config
    build = Builder(checkpoint)
    hidden = Value("hidden_states", (BATCH, 1, config.n_embd))
    row = Value("row", (BATCH, config.n_embd))
    logits = Value("logits", (BATCH, config.vocab_size))
    build.add(Reshape(hidden, row))
    normed = build.layer_norm("ln_f", row)
    shape = config.n_embd, config.vocab_size
    projection = Matrix("lm_head.weight", shape, functools.partial(checkpoint.rows, checkpoint.head_name))
    build.add(Linear(normed, projection, None, logits))
    return Network("lm_head", (hidden,), (logits,), tuple(build.operations))


def greedy_head(checkpoint: Checkpoint) -> Network:
    """Logits [B,V] -> token [B,1]."""
    logits = Value("logits", (BATCH, checkpoint.config.vocab_size))
    token = Value("token", (BATCH, 1), "i32")
    return Network("greedy_head", (logits,), (token,), (ArgMax(logits, token),))


class Builder:
    """Collects operations; every value is named after what made it."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self.operations: list[Operation] = []

    def add(self, operation: Operation) -> None:
        self.operations.append(operation)

    def value(self, name: str, width: int) -> Value:
        return Value(name, (BATCH, TOKENS, width))

    def rows(self, name: str, suffix: str, count: str) -> Rows:
        """Rows of keys and of values."""
        shape = (BATCH, count, 1, self._checkpoint.config.head_dim)
        return Value(f"{name}_k{suffix}", shape), Value(f"{name}_v{suffix}", shape)

    def layer(self, name: str, source: Value, history: Rows, new: Rows, *, mask: Value, output: str) -> Value:
        normed = self.layer_norm(f"{name}.ln_1", source)
        attended = self.attention(f"{name}.attn", normed, history, new, mask)
        residual = self.sum(f"{name}.attention_residual", source, attended)
        normed = self.layer_norm(f"{name}.ln_2", residual)
        return self.sum(output, residual, self.mlp(f"{name}.mlp", normed))

    def layer_norm(self, name: str, source: Value) -> Value:
        output = Value(f"{name}.output", source.shape)
        width = (self._checkpoint.config.n_embd,)
        gain, bias = (_weight(self._checkpoint, f"{name}.{part}", width) for part in ("weight", "bias"))
        self.add(LayerNorm(source, gain, bias, self._checkpoint.config.layer_norm_epsilon, output))
        return output

    def linear(self, name: str, source: Value, outputs: int, first: int = 0, part: str = "") -> Value:
        """Some outputs of a checkpoint's Linear, from the `first` on; `part` tells several parts of one apart."""
        output = self.value(f"{name}{part}.output", outputs)
        weight_rows, bias_rows = (self._rows_from(f"{name}.{kind}", first) for kind in ("weight", "bias"))
        weight = Matrix(f"{name}{part}.weight", (int(source.shape[-1]), outputs), weight_rows)
        bias = Weight(f"{name}{part}.bias", (outputs,), bias_rows)
        self.add(Linear(source, weight, bias, output))
        return output

    def _rows_from(self, name: str, first: int) -> Callable[[int, int], NDArray[np.float32]]:
        return lambda start, stop: self._checkpoint.rows(name, first + start, first + stop)

    def query_key_value(self, name: str, source: Value) -> tuple[Value, Value, Value]:
        """The fused projection as three: its rows are the queries of all heads, then the key, then the value."""
        width, head = self._checkpoint.config.n_embd, self._checkpoint.config.head_dim
        query = self.linear(name, source, width, 0, ".query")
        key = self.linear(name, source, head, width, ".key")
        value = self.linear(name, source, head, width + head, ".value")
        return query, key, value

    def attention(self, name: str, source: Value, history: Rows, new: Rows, mask: Value) -> Value:
        """The projected result; makes the new rows of keys and values on the way."""
        config = self._checkpoint.config
        query, key, value = self.query_key_value(f"{name}.c_attn", source)
        self.add(Reshape(key, new[0]))
        self.add(Reshape(value, new[1]))
        attended, scale = self.value(f"{name}.attended", config.n_embd), config.attention_scale
        self.add(Attention(query, *new, *history, mask, config.n_head, scale, attended))
        return self.linear(f"{name}.c_proj", attended, config.n_embd)

    def mlp(self, name: str, source: Value) -> Value:
        config = self._checkpoint.config
        inner = self.linear(f"{name}.c_fc", source, config.inner)
        activated = self.value(f"{name}.activated", config.inner)
        self.add(Gelu(inner, config.gelu, activated))
        return self.linear(f"{name}.c_proj", activated, config.n_embd)

    def sum(self, name: str, left: Value, right: Value) -> Value:
        output = Value(name, left.shape)
        self.add(Add(left, right, output))
        return output


def _weight(checkpoint: Checkpoint, name: str, shape: tuple[int, ...]) -> Weight:
    return Weight(name, shape, functools.partial(checkpoint.rows, name))
