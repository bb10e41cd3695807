"""A checkpoint directory, checked before anything long begins."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from wizardtpu_compile.checkpoint.config import ModelConfig, read_config, read_end_of_text
from wizardtpu_compile.checkpoint.tensor_file import TensorFile
from wizardtpu_compile.checkpoint.tensors import open_tensors
from wizardtpu_compile.errors import CheckpointError

TOKENIZER_NAME = "tokenizer.json"
PREFIX = "transformer."


@dataclass(frozen=True)
class Checkpoint:
    """A GPTBigCode checkpoint whose every tensor is known to be there with the right shape."""

    directory: Path
    config: ModelConfig
    end_of_text: list[int]
    _files: dict[str, TensorFile]

    @classmethod
    def open(cls, directory: Path) -> Checkpoint:
        """Opens and checks everything but the values of the tensors.

        Raises:
            CheckpointError: names the file, key or tensor that is missing or wrong.
        """
        if not directory.is_dir():
            raise CheckpointError(f"{directory} is not a directory: give the folder of a downloaded checkpoint")
        config = read_config(directory)
        end_of_text = read_end_of_text(directory, config)
        _check_tokenizer(directory / TOKENIZER_NAME, config.vocab_size)
        checkpoint = cls(directory, config, end_of_text, _without_prefix(open_tensors(directory)))
        for name, shape in expected_shapes(config).items():
            checkpoint._check(name, shape)
        return checkpoint

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor by its name without the ``transformer.`` prefix."""
        return self._files[name].shape(self._stored_name(name))

    def dtype(self, name: str) -> str:
        """The type that a tensor is stored as: float32, float16 or bfloat16."""
        return self._files[name].dtype(self._stored_name(name))

    def read(self, name: str) -> NDArray[np.float32]:
        """A tensor by its name without the ``transformer.`` prefix, as float32.

        Raises:
            CheckpointError: it holds NaN or infinity, or cannot be read.
        """
        return self.rows(name, 0, self.shape(name)[0])

    def rows(self, name: str, start: int, stop: int) -> NDArray[np.float32]:
        """Rows `start` to `stop` (indices of the first axis, clipped like a slice's) of a tensor as float32.

        Only these rows are read and held in memory.

        Raises:
            CheckpointError: they hold NaN or infinity, or cannot be read.
        """
        file = self._files[name]
        array = file.rows(self._stored_name(name), start, stop)
        # A sum is finite when all terms are, unless it overflows: only then look at each element.
        if not np.isfinite(np.sum(array, dtype=np.float64)):
            bad = int(np.count_nonzero(~np.isfinite(array)))
            raise CheckpointError(f"{file.path}: tensor {name} holds {bad} values that are NaN or infinite")
        return array

    def fingerprint(self, names: Iterable[str] | None = None) -> str:
        """sha256, in hex, that changes with these tensors (all that are read, if none are named) and the config.

        It takes what is read of config.json; of each tensor its name, type, shape, place in the file and first
        4 KiB; of each file its size and the time of its last change. Another checkpoint differs in the samples,
        whatever its times say; a change in place differs in the time. Paths and inodes are left out: a copy that
        keeps the times is the same checkpoint.

        Raises:
            CheckpointError: a file cannot be read or has changed since it was opened.
        """
        digest = hashlib.sha256(repr(self.config).encode())
        by_file: dict[TensorFile, list[str]] = {}
        for name in sorted(set(expected_shapes(self.config) if names is None else names)):
            by_file.setdefault(self._files[name], []).append(self._stored_name(name))
        for file, stored in by_file.items():
            digest.update(file.fingerprint(stored))
        return digest.hexdigest()

    @property
    def tokenizer(self) -> Path:
        return self.directory / TOKENIZER_NAME

    @property
    def head_name(self) -> str:
        """Name of the output projection: the token embedding itself when the two are tied."""
        return "wte.weight" if self.config.tie_word_embeddings else "lm_head.weight"

    def _stored_name(self, name: str) -> str:
        return name if name in self._files[name].names else PREFIX + name

    def _check(self, name: str, expected: tuple[int, ...]) -> None:
        if name not in self._files:
            raise CheckpointError(f"{self.directory}: tensor {name} is missing")
        found = self.shape(name)
        if found != expected:
            raise CheckpointError(
                f"{self._files[name].path}: tensor {name} has shape {list(found)}, "
                f"but config.json makes it {list(expected)}"
            )
        self._files[name].check_dtype(self._stored_name(name))


def expected_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor that is read, as torch stores it: Linear weights are [outputs, inputs]."""
    hidden, inner = config.n_embd, config.inner
    shapes: dict[str, tuple[int, ...]] = {
        "wte.weight": (config.vocab_size, hidden),
        "wpe.weight": (config.n_positions, hidden),
        "ln_f.weight": (hidden,),
        "ln_f.bias": (hidden,),
    }
    if not config.tie_word_embeddings:
        shapes["lm_head.weight"] = (config.vocab_size, hidden)
    linears = {
        "attn.c_attn": (hidden + 2 * config.head_dim, hidden),
        "attn.c_proj": (hidden, hidden),
        "mlp.c_fc": (inner, hidden),
        "mlp.c_proj": (hidden, inner),
    }
    for layer in range(config.n_layer):
        for norm in ("ln_1", "ln_2"):
            shapes[f"h.{layer}.{norm}.weight"] = shapes[f"h.{layer}.{norm}.bias"] = (hidden,)
        for linear, shape in linears.items():
            shapes[f"h.{layer}.{linear}.weight"] = shape
            shapes[f"h.{layer}.{linear}.bias"] = shape[:1]
    return shapes


def _without_prefix(files: dict[str, TensorFile]) -> dict[str, TensorFile]:
    shortened = {name.removeprefix(PREFIX): file for name, file in files.items()}
    for name, file in files.items():
        if name.startswith(PREFIX) and name.removeprefix(PREFIX) in files:
            raise CheckpointError(
                f"{file.path}: there are two tensors {name}, with the prefix {PREFIX} and without"
            )
    return shortened


def _check_tokenizer(path: Path, vocabulary: int) -> None:
    if not path.is_file():
        raise CheckpointError(f"{path} is missing: the daemon needs it to turn text into tokens")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise CheckpointError(f"{path} is not a tokenizer: {error}") from None
    highest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if not 0 <= highest < vocabulary:
        raise CheckpointError(
            f"{path}: its highest token id is {highest}, but the vocab_size of config.json is {vocabulary}"
        )
