"""A golden file: what the reference implementation makes of one checkpoint."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file


@dataclass(frozen=True)
class Golden:
    """What the reference makes of one checkpoint.

    Attributes:
        weights: sha256 of the checkpoint's tensors: a file made from other ones would prove nothing.
        prompts: int32 [length] token ids.
        answers: int32 [count] greedy token ids that follow each prompt.
        logits: float32 [steps, vocabulary] of the first tokens of each answer.
    """

    weights: str
    prompts: list[NDArray[np.int32]]
    answers: list[NDArray[np.int32]]
    logits: list[NDArray[np.float32]]

    def save(self, path: Path) -> None:
        arrays = {
            f"{part}_{i}": array
            for part in ("prompts", "answers", "logits")
            for i, array in enumerate(getattr(self, part))
        }
        np.savez_compressed(path, allow_pickle=False, weights=np.array(self.weights), **arrays)

    @classmethod
    def load(cls, path: Path) -> Golden:
        with np.load(path) as file:
            count = len(file.files) // 3
            prompts, answers, logits = (
                [file[f"{part}_{i}"] for i in range(count)] for part in ("prompts", "answers", "logits")
            )
            return cls(str(file["weights"]), prompts, answers, logits)


def weights_digest(checkpoint: Path) -> str:
    """sha256 of the names and contents of all tensors."""
    digest = hashlib.sha256()
    for file in sorted(checkpoint.glob("*.safetensors")):
        for name, array in sorted(load_file(file).items()):
            digest.update(name.encode())
            digest.update(array.tobytes())
    return digest.hexdigest()
