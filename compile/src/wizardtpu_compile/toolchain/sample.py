"""A small network that proves a toolchain: made of what layers are made of, and computed here as well."""

from __future__ import annotations

import math
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

Float = Literal["f16", "bf16"]

NAME = "sample"
TOKENS, HISTORY, WIDTH, HEADS, GROUP = 8, 64, 128, 4, 64
"""Of the network; GROUP quantized weights share a scale and a zero point. sample.mlir has them too."""

_HEAD_WIDTH = WIDTH // HEADS
_EPSILON = 1e-5
_DTYPES: dict[Float, Any] = {"f16": np.float16, "bf16": ml_dtypes.bfloat16}

Arrays = dict[str, NDArray[Any]]


class Sample:
    """The network in one type of floats, with weights and inputs of its own (the same each time)."""

    def __init__(self, form: Float) -> None:
        self._form = form
        random = np.random.default_rng(1684)
        self._weights = {
            "gain": self._floats(1 + random.normal(0, 0.1, (1, 1, WIDTH))),
            "shift": self._floats(random.normal(0, 0.1, (1, 1, WIDTH))),
            "weight": random.integers(0, 256, (WIDTH, WIDTH // 2), dtype=np.uint8),  # two to a byte
            "scale": self._floats(random.uniform(0.01, 0.05, (WIDTH, WIDTH // GROUP))),
            "zero": random.integers(5, 11, (WIDTH, WIDTH // GROUP), dtype=np.uint8),
            "bias": self._floats(random.normal(0, 0.1, (1, 1, WIDTH))),
        }
        visible = np.arange(HISTORY) <= np.arange(TOKENS)[:, None] + HISTORY - TOKENS
        self.inputs: Arrays = {
            "hidden": self._rounded(random.normal(0, 1, (1, TOKENS, WIDTH))),
            "mask": self._rounded(np.where(visible, 0, -10000)[None, None]),
            "k": self._rounded(random.normal(0, 1, (1, HISTORY, 1, _HEAD_WIDTH))),
            "v": self._rounded(random.normal(0, 1, (1, HISTORY, 1, _HEAD_WIDTH))),
        }

    def write(self, directory: Path) -> Path:
        """Writes the network's text and weights; the path of the text."""
        template = files("wizardtpu_compile.toolchain").joinpath(f"{NAME}.mlir").read_text(encoding="utf-8")
        text = template.replace("MODE", self._form.upper()).replace("FLOAT", self._form)
        path = directory / f"{NAME}.mlir"
        path.write_text(text, encoding="utf-8")
        plain: dict[str, Any] = {
            name: w if w.dtype == np.uint8 else w.view(np.uint16) for name, w in self._weights.items()
        }
        np.savez(directory / f"{NAME}.npz", **plain)
        return path

    def expected(self) -> NDArray[np.float32]:
        """The output [1, TOKENS, WIDTH], computed in float32."""
        weights = {name: weight.astype(np.float32) for name, weight in self._weights.items()}
        x = self.inputs["hidden"]
        centred = x - x.mean(-1, keepdims=True)
        norm = centred / np.sqrt(np.square(centred).mean(-1, keepdims=True) + _EPSILON)
        query = (norm * weights["gain"] + weights["shift"]) @ self._matrix().T + weights["bias"]
        heads = query.reshape(TOKENS, HEADS, _HEAD_WIDTH).transpose(1, 0, 2)
        scores = heads @ self.inputs["k"][0, :, 0].T / math.sqrt(_HEAD_WIDTH) + self.inputs["mask"][0, 0]
        exponents = np.exp(scores - scores.max(-1, keepdims=True))
        attended = exponents / exponents.sum(-1, keepdims=True) @ self.inputs["v"][0, :, 0]
        result: NDArray[np.float32] = attended.transpose(1, 0, 2).reshape(1, TOKENS, WIDTH)
        return result

    def _matrix(self) -> NDArray[np.float32]:
        """The weights [outputs, inputs] as the chip multiplies them; the lower half of a byte comes first."""
        packed = self._weights["weight"]
        steps = np.stack([packed & 15, packed >> 4], axis=-1).reshape(WIDTH, WIDTH // GROUP, GROUP)
        steps = steps.astype(np.float32) - self._weights["zero"].astype(np.float32)[..., None]
        matrix: NDArray[np.float32] = (steps * self._weights["scale"].astype(np.float32)[..., None]).reshape(
            WIDTH, WIDTH
        )
        return matrix

    def _floats(self, array: NDArray[np.float64]) -> NDArray[Any]:
        return array.astype(_DTYPES[self._form])

    def _rounded(self, array: NDArray[np.float64]) -> NDArray[np.float32]:
        return self._floats(array).astype(np.float32)
