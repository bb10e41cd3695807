"""Writes a small random Qwen2 checkpoint, of an architecture that only the vendor's converter compiles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import AddedToken
from wizardtpud.model.manifest import Architecture

from tests.support.byte_level_tokenizer import byte_level_backend
from tests.support.random_checkpoint import DTYPES

HIDDEN, HEADS, KV_HEADS, HEAD_DIM, INNER, LAYERS, VOCABULARY = 128, 4, 2, 32, 256, 2, 320
START, END = "<|im_start|>", "<|im_end|>"
END_ID = VOCABULARY - 1
NOT_A_NUMBER = 317
"""A token whose embedding is not a number: whatever follows it is none either."""
ARCHITECTURE = Architecture(
    family="qwen2",
    layers=LAYERS,
    hidden=HIDDEN,
    heads=HEADS,
    kv_heads=KV_HEADS,
    head_dim=HEAD_DIM,
    inner=INNER,
    vocabulary=VOCABULARY,
    positions=1024,
)
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_qwen2_checkpoint(directory: Path, dtype: str = "float16") -> Path:
    """Writes config.json, a tokenizer's files with a ChatML template, and model.safetensors; returns `directory`.

    The logits of the tokens that end a text are 0, which is never the highest.
    """
    directory.mkdir(parents=True)
    added = [AddedToken(START, special=True), AddedToken(END, special=True)]
    tokenizer = byte_level_backend(VOCABULARY - len(added), added)
    assert tokenizer.token_to_id(END) == END_ID
    tokenizer.save(str(directory / "tokenizer.json"))
    for name, content in (
        ("config.json", _config(dtype)),
        ("generation_config.json", {"eos_token_id": [END_ID, 0]}),
        ("tokenizer_config.json", {"chat_template": CHAT_TEMPLATE, "eos_token": END}),
    ):
        (directory / name).write_text(json.dumps(content, indent=2) + "\n")
    weights = {name: array.astype(DTYPES[dtype]) for name, array in _weights().items()}
    weights["lm_head.weight"][[0, END_ID]] = 0
    weights["model.embed_tokens.weight"][NOT_A_NUMBER] = np.nan
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    return directory


def _config(dtype: str) -> dict[str, Any]:
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_size": HIDDEN,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": ARCHITECTURE.positions,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "torch_dtype": dtype,
        "bos_token_id": 0,
        "eos_token_id": END_ID,
    }


def _weights() -> dict[str, NDArray[np.float64]]:
    random = np.random.Generator(np.random.PCG64(0))
    weights = {
        "model.embed_tokens.weight": random.standard_normal((VOCABULARY, HIDDEN)),
        "lm_head.weight": random.standard_normal((VOCABULARY, HIDDEN)) * 0.3,
        "model.norm.weight": _norm(random),
    }
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}"
        for name, inputs, outputs in (
            ("self_attn.q_proj", HIDDEN, HEADS * HEAD_DIM),
            ("self_attn.k_proj", HIDDEN, KV_HEADS * HEAD_DIM),
            ("self_attn.v_proj", HIDDEN, KV_HEADS * HEAD_DIM),
            ("self_attn.o_proj", HEADS * HEAD_DIM, HIDDEN),
            ("mlp.gate_proj", HIDDEN, INNER),
            ("mlp.up_proj", HIDDEN, INNER),
            ("mlp.down_proj", INNER, HIDDEN),
        ):
            weights[f"{prefix}.{name}.weight"] = random.standard_normal((outputs, inputs)) * inputs**-0.5
            if name.endswith(("q_proj", "k_proj", "v_proj")):
                weights[f"{prefix}.{name}.bias"] = random.standard_normal(outputs) * 0.1
        for name in ("input_layernorm", "post_attention_layernorm"):
            weights[f"{prefix}.{name}.weight"] = _norm(random)
    return weights


def _norm(random: np.random.Generator) -> NDArray[np.float64]:
    return 1 + random.standard_normal(HIDDEN) * 0.1
