"""GPTBigCode in plain numpy, double precision, everything computed anew for every sequence: slow and obvious.

Written from the description of the architecture (multi-query attention, learned positions, LayerNorm before each
part, tanh GELU), it shares no code with the networks that are tested against it.
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


class ReferenceModel:
    """Weights of a checkpoint with a single safetensors file, and the logits they give."""

    def __init__(self, directory: Path) -> None:
        config: dict[str, Any] = json.loads((directory / "config.json").read_text())
        self.heads: int = config["n_head"]
        self.layers: int = config["n_layer"]
        self.epsilon: float = config["layer_norm_epsilon"]
        weights = load_file(directory / "model.safetensors")
        self.weights = {name: array.astype(np.float64) for name, array in weights.items()}

    def logits(self, ids: Sequence[int]) -> Array:
        """[tokens, vocabulary]: what follows each of the tokens."""
        wte, wpe = self.weights["transformer.wte.weight"], self.weights["transformer.wpe.weight"]
        x = wte[list(ids)] + wpe[: len(ids)]
        for layer in range(self.layers):
            prefix = f"transformer.h.{layer}"
            x = x + self._attention(f"{prefix}.attn", self._norm(f"{prefix}.ln_1", x))
            x = x + self._mlp(f"{prefix}.mlp", self._norm(f"{prefix}.ln_2", x))
        logits: Array = self._norm("transformer.ln_f", x) @ self.weights.get("lm_head.weight", wte).T
        return logits

    def greedy(self, prompt: Sequence[int], count: int) -> list[int]:
        """The `count` most likely tokens after the prompt, each following from those before."""
        ids = list(prompt)
        for _ in range(count):
            ids.append(int(np.argmax(self.logits(ids)[-1])))
        return ids[len(prompt) :]

    def _linear(self, name: str, x: Array) -> Array:
        y: Array = x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]
        return y

    def _norm(self, name: str, x: Array) -> Array:
        centered = x - x.mean(-1, keepdims=True)
        scaled = centered / np.sqrt((centered**2).mean(-1, keepdims=True) + self.epsilon)
        y: Array = scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]
        return y

    def _mlp(self, name: str, x: Array) -> Array:
        x = self._linear(f"{name}.c_fc", x)
        x = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
        return self._linear(f"{name}.c_proj", x)

    def _attention(self, name: str, x: Array) -> Array:
        tokens, hidden = x.shape
        width = hidden // self.heads
        joint = self._linear(f"{name}.c_attn", x)
        queries = joint[:, :hidden].reshape(tokens, self.heads, width)
        keys, values = joint[:, hidden : hidden + width], joint[:, hidden + width :]
        scores = np.einsum("thd,sd->hts", queries, keys) / np.sqrt(width)
        scores[:, np.triu(np.ones((tokens, tokens), bool), k=1)] = -np.inf
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        attended = np.einsum("hts,sd->thd", weights, values).reshape(tokens, hidden)
        return self._linear(f"{name}.c_proj", attended)
