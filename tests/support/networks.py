"""Runs the ONNX files of a bundle directly, without the daemon."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from wizardtpud.model.bundle import Bundle

HIDDEN = -10000.0


def run(path: Path, *inputs: NDArray[Any]) -> list[NDArray[Any]]:
    """The outputs of a network, in its order."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [tensor.name for tensor in session.get_inputs()]
    outputs: list[NDArray[Any]] = session.run(None, dict(zip(names, inputs, strict=True)))
    return outputs


def logits_of(directory: Path, ids: NDArray[np.int32] | Sequence[int]) -> NDArray[np.float32]:
    """[vocabulary] logits of what follows `ids`, all of them read in one step."""
    manifest = Bundle.open(directory).manifest
    tokens, nets = len(ids), directory / "nets"
    places = np.arange(tokens, dtype=np.int32)[None]
    history = np.zeros((1, 1, 1, manifest.architecture.head_dim), np.float32)
    (hidden,) = run(nets / "embedding.onnx", np.array([ids], np.int32), places)
    for layer in range(manifest.architecture.layers):
        hidden = run(nets / f"block_{layer}.onnx", hidden, causal_mask(tokens), history, history)[0]
    logits: NDArray[np.float32] = run(nets / "lm_head.onnx", hidden[:, -1:])[0][0]
    return logits


def causal_mask(tokens: int, history: int = 1, visible: int = 0) -> NDArray[np.float32]:
    """[1, 1, tokens, history + tokens]: the first `visible` rows of the history, and no token after itself."""
    mask = np.zeros((1, 1, tokens, history + tokens), np.float32)
    mask[..., visible:history] = HIDDEN
    mask[..., history:] += np.triu(np.full((tokens, tokens), HIDDEN, np.float32), k=1)
    return mask
