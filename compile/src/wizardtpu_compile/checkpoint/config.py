"""`config.json`: the numbers of a GPTBigCode network, and refusals of what the networks cannot express."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from wizardtpu_compile.errors import CheckpointError

CONFIG_NAME = "config.json"
GENERATION_CONFIG_NAME = "generation_config.json"

Count = Annotated[int, Meta(ge=1)]
GeluForm = Literal["tanh", "erf"]

# "gelu_new", "gelu_fast" and "gelu_pytorch_tanh" are three spellings of one formula.
GELU_FORMS: dict[str, GeluForm] = {
    "gelu": "erf",
    "gelu_python": "erf",
    "gelu_fast": "tanh",
    "gelu_new": "tanh",
    "gelu_pytorch_tanh": "tanh",
}


class ModelConfig(msgspec.Struct, frozen=True, rename={"end_of_text": "eos_token_id"}):
    """The keys of config.json that say what the network computes; defaults are those of Hugging Face transformers.

    `attention_softmax_in_fp32` and the dropout rates say nothing about inference in float32 and are not read.
    """

    model_type: str
    n_embd: Count = 768
    n_head: Count = 12
    n_layer: Count = 12
    n_positions: Count = 1024
    vocab_size: Count = 50257
    n_inner: Count | None = None
    activation_function: str = "gelu_pytorch_tanh"
    layer_norm_epsilon: Annotated[float, Meta(gt=0)] = 1e-5
    multi_query: bool = True
    scale_attn_weights: bool = True
    add_cross_attention: bool = False
    tie_word_embeddings: bool = True
    end_of_text: int | list[int] | None = None

    @property
    def head_dim(self) -> int:
        return self.n_embd // self.n_head

    @property
    def inner(self) -> int:
        return self.n_inner or 4 * self.n_embd

    @property
    def gelu(self) -> GeluForm:
        return GELU_FORMS[self.activation_function]

    @property
    def attention_scale(self) -> float:
        """Factor of the attention scores."""
        return float(self.head_dim**-0.5) if self.scale_attn_weights else 1.0


def read_config(directory: Path) -> ModelConfig:
    """Reads and checks `directory`/config.json.

    Raises:
        CheckpointError: it is missing or not JSON, or describes a network of another kind; names the key.
    """
    path = directory / CONFIG_NAME
    raw = _read_json(path)
    if not isinstance(raw, dict) or raw.get("model_type") != "gpt_bigcode":
        found = raw.get("model_type") if isinstance(raw, dict) else None
        raise CheckpointError(
            f"{path}: model_type is {found!r}, but only 'gpt_bigcode' checkpoints can be compiled"
        )
    try:
        config = msgspec.convert(raw, ModelConfig)
    except msgspec.ValidationError as error:
        raise CheckpointError(f"{path}: {error}") from None
    _refuse_unsupported(path, config)
    return config


def read_end_of_text(directory: Path, config: ModelConfig) -> list[int]:
    """Ids that end a text: of generation_config.json if it names any, else of config.json, else 0.

    Raises:
        CheckpointError: they are no token ids of this vocabulary.
    """
    path = directory / GENERATION_CONFIG_NAME
    value: Any = None
    if path.is_file():
        raw = _read_json(path)
        value = raw.get("eos_token_id") if isinstance(raw, dict) else None
    if value is None:
        path, value = directory / CONFIG_NAME, config.end_of_text
    if value is None:
        value = 0  # <|endoftext|> of every published tokenizer of the family
    ids = value if isinstance(value, list) else [value]
    if not ids or not all(type(i) is int and 0 <= i < config.vocab_size for i in ids):
        raise CheckpointError(f"{path}: eos_token_id is {value!r}, expected ids from 0 to {config.vocab_size - 1}")
    return ids


def _read_json(path: Path) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes())
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing: is {path.parent} a checkpoint directory?") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is not JSON: {error}") from None


def _refuse_unsupported(path: Path, config: ModelConfig) -> None:
    if not config.multi_query:
        raise CheckpointError(f"{path}: multi_query is false, but only multi-query attention is supported")
    if config.add_cross_attention:
        raise CheckpointError(f"{path}: add_cross_attention is true, but only decoders without it are supported")
    if config.activation_function not in GELU_FORMS:
        raise CheckpointError(
            f"{path}: activation_function is {config.activation_function!r}, but only "
            f"{', '.join(GELU_FORMS)} are supported"
        )
    if config.n_embd % config.n_head:
        raise CheckpointError(f"{path}: n_embd {config.n_embd} is not a multiple of n_head {config.n_head}")
