"""`manifest.json`: what a bundle holds, and everything the daemon must know before it loads it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

FORMAT = 1
"""Version of the bundle format that this code reads and writes."""

MANIFEST_NAME = "manifest.json"
TOKENIZER_NAME = "tokenizer.json"

Count = Annotated[int, Meta(ge=1)]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Role = Literal["embedding", "block", "lm_head", "greedy_head"]
Target = Literal["cpu", "bm1684x"]

NetworkLayout = Literal["wizardtpu", "wizardcoder-tpu", "llm-convert"]
"""How a model is divided into networks: ours, that of the original WizardCoder demonstration, and that of the
vendor's `llm_convert.py`. The networks of the foreign ones are known by their names; the manifest lists none."""


class Architecture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The numbers of the network.

    ``family`` is the checkpoint's ``model_type``; ``positions`` is how many positions the model was trained for.
    """

    family: str
    layers: Count
    hidden: Count
    heads: Count
    kv_heads: Count
    head_dim: Count
    inner: Count
    vocabulary: Count
    positions: Count


class Quantization(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How weights are stored: ``group_size`` inputs share one scale (absent: one scale per output channel)."""

    blocks: Literal["f32", "f16", "bf16", "int8", "int4"]
    lm_head: Literal["f32", "f16", "bf16", "int8", "int4"]
    embedding: Literal["f32", "f16", "bf16"]
    group_size: Count | None = None


class NetworkEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One network: what it computes, for how many sequences and new tokens, against how many rows of history.

    Several entries may name one file. ``tokens`` and ``history`` are absent where the role has none;
    ``first_layer`` and ``layers`` are present for blocks alone. ``cycles`` is the compiler's own estimate of a
    launch, 1000 of them a microsecond, if it makes one.
    """

    name: str
    role: Role
    file: str
    batch: Count = 1
    tokens: Count | None = None
    history: Count | None = None
    first_layer: Annotated[int, Meta(ge=0)] | None = None
    layers: Count | None = None
    cycles: Count | None = None


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file must be: its size in bytes and the sha256 of its content."""

    bytes: Annotated[int, Meta(ge=0)]
    sha256: Digest


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole manifest.

    ``quantization`` is absent where a foreign bmodel does not tell it; ``context`` counts tokens, prompt and
    answer together, and is the number of rows of the KV cache; ``sampling`` is false where the networks give
    tokens and no logits; ``files`` maps each file of the bundle (but the manifest) to what it must be, with ``/``
    in paths; ``devices`` is how many chips hold the model together; ``device_bytes`` is the memory that loading
    takes on each of them, without caches; ``made_with`` names the tools and their versions, for people.
    """

    format: int
    name: str
    target: Target
    layout: NetworkLayout = "wizardtpu"
    architecture: Architecture
    quantization: Quantization | None = None
    context: Count
    sampling: bool = True
    chat_template: str
    end_of_text: Annotated[list[int], Meta(min_length=1)]
    networks: list[NetworkEntry] = []
    files: dict[str, FileEntry]
    devices: Count = 1
    device_bytes: Count | None = None
    made_with: dict[str, str] = {}

    @property
    def size(self) -> int:
        """Bytes of all files but the manifest itself."""
        return sum(entry.bytes for entry in self.files.values())

    @property
    def precision(self) -> str:
        """Of the weights of the layers; empty if nobody knows."""
        return self.quantization.blocks if self.quantization else ""


def block_name(first_layer: int, batch: int, tokens: int, history: int) -> str:
    """Name of the step network of the layers from `first_layer` on."""
    return f"block_{first_layer}_b{batch}_t{tokens}_s{history}"


def embedding_name(batch: int, tokens: int) -> str:
    return f"embedding_b{batch}_t{tokens}"


def head_name(role: Literal["lm_head", "greedy_head"], batch: int) -> str:
    return f"{role}_b{batch}"
