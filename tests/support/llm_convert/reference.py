"""Qwen2 in plain numpy, double precision, everything computed anew for every sequence: slow and obvious.

Written from the description of the architecture (RMSNorm before each part, rotary positions in halves, grouped
queries, biases of the queries, keys and values alone, SwiGLU), it shares no code with what is tested against it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

Array = NDArray[np.float64]


class ReferenceQwen2:
    """Weights of a checkpoint with a single safetensors file, and the logits they give."""

    def __init__(self, directory: Path) -> None:
        config: dict[str, Any] = json.loads((directory / "config.json").read_text())
        self.heads: int = config["num_attention_heads"]
        self.kv_heads: int = config["num_key_value_heads"]
        self.layers: int = config["num_hidden_layers"]
        self.epsilon: float = config["rms_norm_eps"]
        self.theta: float = config["rope_theta"]
        weights = load_file(directory / "model.safetensors")
        self.weights = {name: array.astype(np.float64) for name, array in weights.items()}

    def logits(self, ids: Sequence[int]) -> Array:
        """[tokens, vocabulary]: what follows each of the tokens."""
        x = self.weights["model.embed_tokens.weight"][list(ids)]
        for layer in range(self.layers):
            prefix = f"model.layers.{layer}"
            x = x + self._attention(f"{prefix}.self_attn", self._norm(f"{prefix}.input_layernorm", x))
            x = x + self._mlp(f"{prefix}.mlp", self._norm(f"{prefix}.post_attention_layernorm", x))
        return self._linear("lm_head", self._norm("model.norm", x))

    def greedy(self, prompt: Sequence[int], count: int) -> list[int]:
        """The `count` most likely tokens after the prompt, each following from those before.

        Each must lead by more than float16 rounds, 0.2 in the logits: else the prompt is no good for a comparison.
        """
        ids = list(prompt)
        for _ in range(count):
            second, first = np.sort(self.logits(ids)[-1])[-2:]
            assert first - second > 0.2, f"token {len(ids) - len(prompt)} leads by {first - second:.2f}"
            ids.append(int(np.argmax(self.logits(ids)[-1])))
        return ids[len(prompt) :]

    def _linear(self, name: str, x: Array) -> Array:
        y: Array = x @ self.weights[f"{name}.weight"].T + self.weights.get(f"{name}.bias", np.zeros(()))
        return y

    def _norm(self, name: str, x: Array) -> Array:
        y: Array = x / np.sqrt((x**2).mean(-1, keepdims=True) + self.epsilon) * self.weights[f"{name}.weight"]
        return y

    def _mlp(self, name: str, x: Array) -> Array:
        gate = self._linear(f"{name}.gate_proj", x)
        return self._linear(f"{name}.down_proj", gate / (1 + np.exp(-gate)) * self._linear(f"{name}.up_proj", x))

    def _attention(self, name: str, x: Array) -> Array:
        tokens, hidden = x.shape
        shape, group = (tokens, -1, hidden // self.heads), self.heads // self.kv_heads
        queries = self._rotated(self._linear(f"{name}.q_proj", x).reshape(shape))
        keys = self._rotated(self._linear(f"{name}.k_proj", x).reshape(shape)).repeat(group, axis=1)
        values = self._linear(f"{name}.v_proj", x).reshape(shape).repeat(group, axis=1)
        scores = np.einsum("thd,shd->hts", queries, keys) / np.sqrt(hidden // self.heads)
        scores[:, np.triu(np.ones((tokens, tokens), bool), k=1)] = -np.inf
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        attended = np.einsum("hts,shd->thd", weights, values).reshape(tokens, hidden)
        return self._linear(f"{name}.o_proj", attended)

    def _rotated(self, x: Array) -> Array:
        """Turns element i of the first half and of the second, as a pair, by an angle for each position."""
        tokens, _, width = x.shape
        angles = np.arange(tokens)[:, None, None] * self.theta ** -(np.arange(0, width, 2) / width)
        first, second = np.split(x, 2, axis=-1)
        cosine, sine = np.cos(angles), np.sin(angles)
        return np.concatenate([first * cosine - second * sine, second * cosine + first * sine], axis=-1)
