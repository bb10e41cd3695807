"""The networks of the original WizardCoder demonstration for the BM1684X, so that its programs can run them.

Each layer has two networks: `block` reads a prompt padded to the whole context, `block_cache` adds one token. Keys
and values share rows: the key's columns, then the value's. The cache of `block_cache` is aligned to its end: the
rows of R tokens are its last ones, the mask is -1000 for those before them, and the result has one row more.

Source of the layout: models/WizardCoder of the public repository sophgo/LLM-TPU.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.network.description import (
    BATCH,
    HISTORY,
    TOKENS,
    TOTAL,
    Add,
    ArgMax,
    CachedAttention,
    Concat,
    Gather,
    Linear,
    Matrix,
    Network,
    Slice,
    Value,
    Weight,
)
from wizardtpu_compile.network.gpt_bigcode import Builder

MASKED = -1000.0
"""What the mask adds to the scores of rows that are not to be seen."""


@dataclass(frozen=True)
class Stage:
    """A network of the layout with its static shapes; the two named "embedding" are stages of one network.

    Attributes:
        sizes: of the symbolic dimensions.
    """

    name: str
    network: Network
    sizes: Mapping[str, int]


def stages(checkpoint: Checkpoint, context: int) -> Iterator[Stage]:
    """All of a model, in the order its programs expect: the embedding's first stage is that of one token."""
    prompt, token = _sizes(context, 0), _sizes(1, context)
    table = embedding(checkpoint)
    yield Stage("embedding", table, token)
    yield Stage("embedding", table, prompt)
    for layer in range(checkpoint.config.n_layer):
        yield Stage(f"block_{layer}", block(checkpoint, layer), prompt)
        yield Stage(f"block_cache_{layer}", block_cache(checkpoint, layer), token)
    yield Stage("lm_head", lm_head(checkpoint), token)


def embedding(checkpoint: Checkpoint) -> Network:
    """input_ids, input_pos [B,T] -> hidden_states [B,T,H]: token plus learned position."""
    config = checkpoint.config
    ids, positions = (Value(name, (BATCH, TOKENS), "i32") for name in ("input_ids", "input_pos"))
    shape = (BATCH, TOKENS, config.n_embd)
    tokens, places = Value("token_embedding", shape), Value("position_embedding", shape)
    hidden = Value("hidden_states", shape)
    operations = (
        Gather(_table(checkpoint, "wte.weight", config.vocab_size), ids, tokens),
        Gather(_table(checkpoint, "wpe.weight", config.n_positions), positions, places),
        Add(tokens, places, hidden),
    )
    return Network("embedding", (ids, positions), (hidden,), operations)


def block(checkpoint: Checkpoint, layer: int) -> Network:
    """input_states [B,T,H], attention_mask [B,1,T,T] -> hidden_states [B,T,H], keys and values [B,T,2D]."""
    build = _LayerBuilder(checkpoint, layer)
    mask = Value("attention_mask", (BATCH, 1, TOKENS, TOKENS))
    rows = build.key_value()
    output = build.rest(rows, mask)
    return Network("block", (build.source, mask), (output, rows), tuple(build.operations), layer)


def block_cache(checkpoint: Checkpoint, layer: int) -> Network:
    """input_states [B,T,H], past_cache [B,S,2D], attention_mask [B,1,T,S+T] -> hidden_states, current_cache.

    hidden_states [B,T,H]; current_cache [B,S+T,2D] is past_cache with the rows of the new tokens after it.
    """
    build = _LayerBuilder(checkpoint, layer)
    width = 2 * checkpoint.config.head_dim
    past, rows = Value("past_cache", (BATCH, HISTORY, width)), Value("current_cache", (BATCH, TOTAL, width))
    mask = Value("attention_mask", (BATCH, 1, TOKENS, TOTAL))
    build.add(Concat(past, build.key_value(), rows))
    output = build.rest(rows, mask)
    return Network("block", (build.source, past, mask), (output, rows), tuple(build.operations), layer)


def lm_head(checkpoint: Checkpoint) -> Network:
    """hidden_states [B,H] -> token [B,1]: the final LayerNorm, the projection, and the most likely token."""
    config = checkpoint.config
    build = Builder(checkpoint)
    hidden = Value("hidden_states", (BATCH, config.n_embd))
    logits, token = Value("logits", (BATCH, config.vocab_size)), Value("token", (BATCH, 1), "i32")
    read = functools.partial(checkpoint.rows, checkpoint.head_name)
    projection = Matrix("lm_head.weight", (config.n_embd, config.vocab_size), read)
    build.add(Linear(build.layer_norm("ln_f", hidden), projection, None, logits))
    build.add(ArgMax(logits, token))
    return Network("lm_head", (hidden,), (token,), tuple(build.operations))


class _LayerBuilder(Builder):
    """Collects the operations of one layer: first those up to its keys and values, then the rest."""

    def __init__(self, checkpoint: Checkpoint, layer: int) -> None:
        super().__init__(checkpoint)
        self._config = checkpoint.config
        self._prefix = f"h.{layer}"
        self.source = self.value("input_states", self._config.n_embd)
        self._normed = self.layer_norm(f"{self._prefix}.ln_1", self.source)

    def key_value(self) -> Value:
        """The new tokens' rows [B,T,2D]."""
        name, config = f"{self._prefix}.attn.c_attn", self._config
        return self.linear(name, self._normed, 2 * config.head_dim, config.n_embd, ".key_value")

    def rest(self, rows: Value, mask: Value) -> Value:
        """From the rows that the new tokens may attend to, their own among them, to the layer's output."""
        attended = self._attention(f"{self._prefix}.attn", rows, mask)
        residual = self.sum("attention_residual", self.source, attended)
        normed = self.layer_norm(f"{self._prefix}.ln_2", residual)
        return self.sum("hidden_states", residual, self.mlp(f"{self._prefix}.mlp", normed))

    def _attention(self, name: str, rows: Value, mask: Value) -> Value:
        config = self._config
        query = self.linear(f"{name}.c_attn", self._normed, config.n_embd, 0, ".query")
        keys = self._half(rows, f"{name}.keys", 0)
        values = self._half(rows, f"{name}.values", config.head_dim)
        attended = self.value(f"{name}.attended", config.n_embd)
        scale = config.attention_scale
        self.add(CachedAttention(query, keys, values, mask, config.n_head, scale, attended))
        return self.linear(f"{name}.c_proj", attended, config.n_embd)

    def _half(self, rows: Value, name: str, start: int) -> Value:
        output = Value(name, (*rows.shape[:-1], self._config.head_dim))
        self.add(Slice(rows, start, output))
        return output


def _table(checkpoint: Checkpoint, name: str, rows: int) -> Weight:
    return Weight(name, (rows, checkpoint.config.n_embd), functools.partial(checkpoint.rows, name))


def _sizes(tokens: int, history: int) -> dict[str, int]:
    return {BATCH: 1, TOKENS: tokens, HISTORY: history, TOTAL: history + tokens}
