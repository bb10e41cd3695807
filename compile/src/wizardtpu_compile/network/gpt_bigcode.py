"""The networks of a GPTBigCode checkpoint.

Source of the computation: GPTBigCodeForCausalLM of Hugging Face transformers, with one key/value head.
"""

from __future__ import annotations

from collections.abc import Iterator

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
    Network,
    Operation,
    Reshape,
    Value,
    Weight,
)


def networks(checkpoint: Checkpoint) -> Iterator[Network]:
    """All networks of the checkpoint in the order a token passes them."""
    yield embedding(checkpoint)
    for layer in range(checkpoint.config.n_layer):
        yield block(checkpoint, layer)
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


def block(checkpoint: Checkpoint, layer: int) -> Network:
    """One layer over T new tokens with S rows of history; see `Attention` for the shapes."""
    config, prefix = checkpoint.config, f"h.{layer}"
    build = _Builder(checkpoint)
    hidden = build.value("hidden_states", config.n_embd)
    mask = Value("attention_mask", (BATCH, 1, TOKENS, TOTAL))
    past = (BATCH, HISTORY, 1, config.head_dim)
    history = Value("history_k", past), Value("history_v", past)

    normed = build.layer_norm(f"{prefix}.ln_1", hidden)
    attended, new_rows = build.attention(f"{prefix}.attn", normed, history, mask)
    residual = build.sum("attention_residual", hidden, attended)
    normed = build.layer_norm(f"{prefix}.ln_2", residual)
    output = build.sum("hidden_states_out", residual, build.mlp(f"{prefix}.mlp", normed))
    return Network("block", (hidden, mask, *history), (output, *new_rows), tuple(build.operations), layer)


def lm_head(checkpoint: Checkpoint) -> Network:
    """hidden_states [B,1,H] -> logits [B,V], with the final LayerNorm."""
    config = checkpoint.config
    build = _Builder(checkpoint)
    hidden = Value("hidden_states", (BATCH, 1, config.n_embd))
    row = Value("row", (BATCH, config.n_embd))
    logits = Value("logits", (BATCH, config.vocab_size))
    build.add(Reshape(hidden, row))
    normed = build.layer_norm("ln_f", row)
    build.add(
        Linear(normed, _transposed(checkpoint, checkpoint.head_name, slice(None), "lm_head.weight"), None, logits)
    )
    return Network("lm_head", (hidden,), (logits,), tuple(build.operations))


def greedy_head(checkpoint: Checkpoint) -> Network:
    """Logits [B,V] -> token [B,1]."""
    logits = Value("logits", (BATCH, checkpoint.config.vocab_size))
    token = Value("token", (BATCH, 1), "i32")
    return Network("greedy_head", (logits,), (token,), (ArgMax(logits, token),))


class _Builder:
    """Collects operations; every value is named after what made it."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self.operations: list[Operation] = []

    def add(self, operation: Operation) -> None:
        self.operations.append(operation)

    def value(self, name: str, width: int) -> Value:
        return Value(name, (BATCH, TOKENS, width))

    def layer_norm(self, name: str, source: Value) -> Value:
        output = Value(f"{name}.output", source.shape)
        width = (self._checkpoint.config.n_embd,)
        gain, bias = (_weight(self._checkpoint, f"{name}.{part}", width) for part in ("weight", "bias"))
        self.add(LayerNorm(source, gain, bias, self._checkpoint.config.layer_norm_epsilon, output))
        return output

    def linear(self, name: str, source: Value, outputs: int, rows: slice = slice(None), part: str = "") -> Value:
        """The `rows` of a checkpoint's Linear; `part` tells several parts of one Linear apart."""
        output = self.value(f"{name}{part}.output", outputs)
        weight = _transposed(self._checkpoint, f"{name}.weight", rows, f"{name}{part}.weight")
        bias = Weight(f"{name}{part}.bias", (outputs,), lambda: self._checkpoint.read(f"{name}.bias")[rows])
        self.add(Linear(source, weight, bias, output))
        return output

    def query_key_value(self, name: str, source: Value) -> tuple[Value, Value, Value]:
        """The fused projection as three: its rows are the queries of all heads, then the key, then the value."""
        width, head = self._checkpoint.config.n_embd, self._checkpoint.config.head_dim
        query = self.linear(name, source, width, slice(0, width), ".query")
        key = self.linear(name, source, head, slice(width, width + head), ".key")
        value = self.linear(name, source, head, slice(width + head, width + 2 * head), ".value")
        return query, key, value

    def attention(
        self, name: str, source: Value, history: tuple[Value, Value], mask: Value
    ) -> tuple[Value, tuple[Value, Value]]:
        """The projected result, and the new rows of keys and values."""
        config = self._checkpoint.config
        query, key, value = self.query_key_value(f"{name}.c_attn", source)
        row = (BATCH, TOKENS, 1, config.head_dim)
        new_key, new_value = Value("new_k", row), Value("new_v", row)
        self.add(Reshape(key, new_key))
        self.add(Reshape(value, new_value))
        attended, scale = self.value("attended", config.n_embd), config.attention_scale
        self.add(Attention(query, new_key, new_value, *history, mask, config.n_head, scale, attended))
        return self.linear(f"{name}.c_proj", attended, config.n_embd), (new_key, new_value)

    def mlp(self, name: str, source: Value) -> Value:
        config = self._checkpoint.config
        inner = self.linear(f"{name}.c_fc", source, config.inner)
        activated = self.value("activated", config.inner)
        self.add(Gelu(inner, config.gelu, activated))
        return self.linear(f"{name}.c_proj", activated, config.n_embd)

    def sum(self, name: str, left: Value, right: Value) -> Value:
        output = Value(name, left.shape)
        self.add(Add(left, right, output))
        return output


def _weight(checkpoint: Checkpoint, name: str, shape: tuple[int, ...]) -> Weight:
    return Weight(name, shape, lambda: checkpoint.read(name))


def _transposed(checkpoint: Checkpoint, stored: str, rows: slice, name: str) -> Weight:
    """Rows of a weight that torch stores as [outputs, inputs], as [inputs, outputs]."""
    outputs, inputs = checkpoint.shape(stored)
    count = len(range(*rows.indices(outputs)))

    def read() -> NDArray[np.float32]:
        return _transpose(checkpoint.read(stored)[rows])

    return Weight(name, (inputs, count), read)


def _transpose(matrix: NDArray[np.float32], strip: int = 32) -> NDArray[np.float32]:
    """A transposed copy, made in strips that fit the CPU's caches: 5 times faster for a wide layer."""
    transposed = np.empty(matrix.shape[::-1], matrix.dtype)
    for start in range(0, len(matrix), strip):
        transposed[:, start : start + strip] = matrix[start : start + strip].T
    return transposed
