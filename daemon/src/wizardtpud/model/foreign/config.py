"""`config.json` of a foreign model: its numbers, under the names that its family gives them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from wizardtpud.errors import BundleError
from wizardtpud.model.foreign.layout import Dimensions
from wizardtpud.model.manifest import Architecture, Count, NetworkLayout
from wizardtpud.model.text_file import read_json

CONFIG_NAME = "config.json"


class _Decoder(msgspec.Struct):
    """As Llama, Qwen2 and most others have them."""

    model_type: str
    num_hidden_layers: Count
    hidden_size: Count
    num_attention_heads: Count
    intermediate_size: Count
    vocab_size: Count
    max_position_embeddings: Count
    num_key_value_heads: Count | None = None
    head_dim: Count | None = None

    @property
    def architecture(self) -> Architecture:
        return Architecture(
            family=self.model_type,
            layers=self.num_hidden_layers,
            hidden=self.hidden_size,
            heads=self.num_attention_heads,
            kv_heads=self.num_key_value_heads or self.num_attention_heads,
            head_dim=self.head_dim or self.hidden_size // self.num_attention_heads,
            inner=self.intermediate_size,
            vocabulary=self.vocab_size,
            positions=self.max_position_embeddings,
        )


class _GptBigCode(msgspec.Struct):
    model_type: str
    n_layer: Count
    n_embd: Count
    n_head: Count
    vocab_size: Count
    n_positions: Count
    n_inner: Count | None = None

    @property
    def architecture(self) -> Architecture:
        return Architecture(
            family=self.model_type,
            layers=self.n_layer,
            hidden=self.n_embd,
            heads=self.n_head,
            kv_heads=1,
            head_dim=self.n_embd // self.n_head,
            inner=self.n_inner or 4 * self.n_embd,
            vocabulary=self.vocab_size,
            positions=self.n_positions,
        )


_KINDS: dict[NetworkLayout, type[_Decoder | _GptBigCode]] = {
    "llm-convert": _Decoder,
    "wizardcoder-tpu": _GptBigCode,
}


def read_architecture(directory: Path, layout: NetworkLayout) -> Architecture:
    """The numbers of a model whose networks are in a layout.

    Raises:
        BundleError: the file is missing or damaged, or lacks a number.
    """
    return read_json(directory / CONFIG_NAME, _KINDS[layout]).architecture


def check_numbers(expected: Architecture, context: int, found: Dimensions) -> None:
    """Compares what a file says of a model with what the shapes of its networks say.

    Raises:
        BundleError: they are of different models; says which numbers differ.
    """
    pairs = {
        "layers": (expected.layers, found.layers),
        "hidden": (expected.hidden, found.hidden),
        "kv_heads": (expected.kv_heads, found.kv_heads),
        "head_dim": (expected.head_dim, found.head_dim),
        "vocabulary": (expected.vocabulary, found.vocabulary),
        "context": (context, found.context),
    }
    wrong = {name: pair for name, pair in pairs.items() if pair[1] not in (pair[0], None)}
    if wrong:
        told = ", ".join(f"{name} {is_} instead of {should}" for name, (should, is_) in wrong.items())
        raise BundleError(f"its networks are of another model: {told}")
