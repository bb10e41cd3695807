"""Writes small random GPTBigCode checkpoints: the same arguments give the same bytes everywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

DTYPES: Mapping[str, np.dtype[Any]] = {
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}
END_OF_TEXT = "<|endoftext|>"
BYTES = 256


def write_random_checkpoint(
    directory: Path,
    *,
    hidden: int = 64,
    heads: int = 4,
    layers: int = 2,
    positions: int = 128,
    vocabulary: int = 320,
    inner: int | None = None,
    seed: int = 0,
    dtype: str = "float16",
    shards: int = 1,
    tied: bool = True,
    never_ends: bool = False,
    activation: str = "gelu_pytorch_tanh",
) -> Path:
    """Writes config.json, tokenizer.json and `shards` safetensors files into `directory`; returns it.

    With `never_ends` the logit of id 0, end-of-text, is -10000 whatever was said before.
    """
    directory.mkdir(parents=True, exist_ok=True)
    config = {
        "model_type": "gpt_bigcode",
        "architectures": ["GPTBigCodeForCausalLM"],
        "activation_function": activation,
        "n_embd": hidden,
        "n_head": heads,
        "n_inner": inner,
        "n_layer": layers,
        "n_positions": positions,
        "vocab_size": vocabulary,
        "layer_norm_epsilon": 1e-5,
        "multi_query": True,
        "scale_attn_weights": True,
        "attention_softmax_in_fp32": True,
        "tie_word_embeddings": tied,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "torch_dtype": dtype,
    }
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    byte_level_tokenizer(vocabulary, seed).save(str(directory / "tokenizer.json"))
    weights = random_weights(
        hidden=hidden,
        heads=heads,
        layers=layers,
        positions=positions,
        vocabulary=vocabulary,
        inner=inner or 4 * hidden,
        seed=seed,
        tied=tied,
    )
    if never_ends:
        _silence_end_of_text(weights)
    write_weights(directory, {name: array.astype(DTYPES[dtype]) for name, array in weights.items()}, shards)
    return directory


def random_weights(
    *, hidden: int, heads: int, layers: int, positions: int, vocabulary: int, inner: int, seed: int, tied: bool
) -> dict[str, NDArray[np.float32]]:
    """The weights of a GPTBigCode network by their Hugging Face names, as float32."""
    generator = np.random.Generator(np.random.PCG64(seed))

    def normal(*shape: int, scale: float) -> NDArray[np.float32]:
        return (generator.standard_normal(shape) * scale).astype(np.float32)

    def linear(name: str, inputs: int, outputs: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
        yield f"{name}.weight", normal(outputs, inputs, scale=inputs**-0.5)
        yield f"{name}.bias", normal(outputs, scale=0.1)

    def norm(name: str) -> Iterator[tuple[str, NDArray[np.float32]]]:
        yield f"{name}.weight", 1 + normal(hidden, scale=0.1)
        yield f"{name}.bias", normal(hidden, scale=0.1)

    weights = {
        "transformer.wte.weight": normal(vocabulary, hidden, scale=0.1),
        "transformer.wpe.weight": normal(positions, hidden, scale=0.5),
    }
    for layer in range(layers):
        prefix = f"transformer.h.{layer}"
        weights.update(norm(f"{prefix}.ln_1"))
        weights.update(linear(f"{prefix}.attn.c_attn", hidden, hidden + 2 * (hidden // heads)))
        weights.update(linear(f"{prefix}.attn.c_proj", hidden, hidden))
        weights.update(norm(f"{prefix}.ln_2"))
        weights.update(linear(f"{prefix}.mlp.c_fc", hidden, inner))
        weights.update(linear(f"{prefix}.mlp.c_proj", inner, hidden))
    weights.update(norm("transformer.ln_f"))
    if not tied:
        weights["lm_head.weight"] = normal(vocabulary, hidden, scale=0.1)
    return weights


def _silence_end_of_text(weights: dict[str, NDArray[np.float32]]) -> None:
    """Makes the last LayerNorm write 1 into column 0, which only the row of id 0 reads."""
    weights["transformer.ln_f.weight"][0] = 0
    weights["transformer.ln_f.bias"][0] = 1
    head = weights.get("lm_head.weight", weights["transformer.wte.weight"])
    head[:, 0] = 0
    head[0, :] = 0
    head[0, 0] = -10000


def write_weights(directory: Path, weights: Mapping[str, NDArray[Any]], shards: int = 1) -> None:
    """Writes the tensors as one safetensors file, or dealt out to `shards` files with an index."""
    if shards == 1:
        save_file(dict(weights), directory / "model.safetensors", metadata={"format": "pt"})
        return
    where = {name: f"model-{i % shards + 1:05d}-of-{shards:05d}.safetensors" for i, name in enumerate(weights)}
    for file in sorted(set(where.values())):
        part = {name: weights[name] for name in weights if where[name] == file}
        save_file(part, directory / file, metadata={"format": "pt"})
    total = sum(array.nbytes for array in weights.values())
    index = {"metadata": {"total_size": total}, "weight_map": where}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))


def byte_level_tokenizer(vocabulary: int, seed: int = 0) -> Tokenizer:
    """A byte-level BPE: id 0 ends the text, then come the bytes, then random pairs of letters."""
    merges_wanted = vocabulary - 1 - BYTES
    if merges_wanted < 0:
        raise ValueError(f"vocabulary must be at least {1 + BYTES}, not {vocabulary}")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    letters = "Ġabcdefghijklmnopqrstuvwxyz"
    pairs = [(first, second) for first in letters for second in letters[1:]]
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(pairs))
    if merges_wanted > len(pairs):
        pairs += [(a + b, c) for a, b in pairs for c in letters[1:]]
        order = np.concatenate([order, np.arange(len(order), len(pairs))])
    merges = [pairs[i] for i in order[:merges_wanted]]
    tokens = [END_OF_TEXT, *alphabet, *(first + second for first, second in merges)]
    model = models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(END_OF_TEXT, special=True)])
    return tokenizer
