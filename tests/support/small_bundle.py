"""A bundle with a sound manifest and files of a few bytes: to be checked, not to be run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec
from wizardtpud.model.manifest import (
    FORMAT,
    MANIFEST_NAME,
    TOKENIZER_NAME,
    Architecture,
    FileEntry,
    Manifest,
    NetworkEntry,
    Quantization,
    block_name,
    embedding_name,
    head_name,
)

CONTENTS = {
    TOKENIZER_NAME: b"{}",
    "nets/embedding.onnx": b"embedding",
    "nets/block_0.onnx": b"first block",
    "nets/block_1.onnx": b"second block",
    "nets/lm_head.onnx": b"logits",
    "nets/greedy_head.onnx": b"argmax",
}


def manifest(contents: Mapping[str, bytes] = CONTENTS) -> Manifest:
    """Of a model of two layers with steps of 1 and 4 tokens and a context of 8."""
    networks = [
        NetworkEntry(head_name("lm_head", 1), "lm_head", "nets/lm_head.onnx"),
        NetworkEntry(head_name("greedy_head", 1), "greedy_head", "nets/greedy_head.onnx"),
    ]
    for tokens in (1, 4):
        networks.append(NetworkEntry(embedding_name(1, tokens), "embedding", "nets/embedding.onnx", tokens=tokens))
        networks += [block(layer, tokens) for layer in (0, 1)]
    return Manifest(
        format=FORMAT,
        name="small",
        target="cpu",
        architecture=Architecture(
            family="gpt_bigcode",
            layers=2,
            hidden=6,
            heads=3,
            kv_heads=1,
            head_dim=2,
            inner=24,
            vocabulary=10,
            positions=16,
        ),
        quantization=Quantization(blocks="f32", lm_head="f32", embedding="f32"),
        context=8,
        chat_template="{{ messages[0].content }}",
        end_of_text=[0],
        networks=networks,
        files={name: FileEntry(len(data), hashlib.sha256(data).hexdigest()) for name, data in contents.items()},
    )


def block(layer: int, tokens: int) -> NetworkEntry:
    return NetworkEntry(
        name=block_name(layer, 1, tokens, 8),
        role="block",
        file=f"nets/block_{layer}.onnx",
        tokens=tokens,
        history=8,
        first_layer=layer,
        layers=1,
    )


def write_small_bundle(directory: Path) -> Path:
    for name, data in CONTENTS.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    write_manifest(directory, manifest())
    return directory


def write_manifest(directory: Path, content: Manifest) -> None:
    (directory / MANIFEST_NAME).write_bytes(msgspec.json.encode(content))
