"""Writes checkpoints as wide as WizardCoder-15B, with random weights, in float16.

Run from the repository's root: python -m tests.support.wide_checkpoint DIRECTORY [--layers N] [--bin]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from math import prod
from pathlib import Path

import msgspec
import numpy as np
from wizardtpu_compile.checkpoint.checkpoint import PREFIX, expected_shapes
from wizardtpu_compile.checkpoint.config import ModelConfig

from tests.support.random_checkpoint import byte_level_tokenizer
from tests.support.torch_file_writer import View, pickled, write_archive

# Those of WizardCoder-15B's config.json; the number of layers, 40 there, is the caller's choice.
WIDTHS = {"n_embd": 6144, "n_head": 48, "n_inner": 24576, "vocab_size": 49153, "n_positions": 8192}
_PIECE = 1 << 20  # values made at a time

Shapes = dict[str, tuple[int, ...]]


def write_wide_checkpoint(directory: Path, layers: int = 2, as_bin: bool = False) -> None:
    """Writes the weights as they are made: some tens of MB of memory, whatever the number of layers."""
    directory.mkdir(parents=True, exist_ok=True)
    settings = {
        "model_type": "gpt_bigcode",
        "n_layer": layers,
        **WIDTHS,
        "eos_token_id": 0,
        "torch_dtype": "float16",
    }
    (directory / "config.json").write_text(json.dumps(settings, indent=2) + "\n")
    byte_level_tokenizer(WIDTHS["vocab_size"]).save(str(directory / "tokenizer.json"))
    config = msgspec.convert(settings, ModelConfig)
    shapes = {PREFIX + name: shape for name, shape in expected_shapes(config).items()}
    if as_bin:
        _write_bin(directory / "pytorch_model.bin", shapes)
    else:
        _write_safetensors(directory / "model.safetensors", shapes)


def _write_safetensors(path: Path, shapes: Shapes) -> None:
    """By hand: the library writes only what is in memory."""
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * prod(shape)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": (start, end)}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in shapes.items():
            file.writelines(_values(name, shape))


def _write_bin(path: Path, shapes: Shapes) -> None:
    views = {
        name: View(
            "float16", name, prod(shape), shape, tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))
        )
        for name, shape in shapes.items()
    }
    write_archive(path, pickled(views), ((name, _values(name, shape)) for name, shape in shapes.items()))


def _values(name: str, shape: tuple[int, ...]) -> Iterator[bytes]:
    """A tensor in pieces, distributed as those of random_checkpoint are; the same for the same name and shape."""
    generator = np.random.Generator(np.random.SFC64(list(name.encode())))
    mean = 1 if name.endswith(("ln_1.weight", "ln_2.weight", "ln_f.weight")) else 0
    scale = {"wte": 0.1, "wpe": 0.5}.get(name.split(".")[1]) or (shape[1] ** -0.5 if len(shape) == 2 else 0.1)
    for start in range(0, prod(shape), _PIECE):
        values = generator.standard_normal(min(_PIECE, prod(shape) - start), np.float32)
        yield (values * np.float32(scale) + np.float32(mean)).astype("<f2").tobytes()


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes a checkpoint as wide as WizardCoder-15B.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--bin", action="store_true", help="pytorch_model.bin instead of model.safetensors")
    arguments = parser.parse_args()
    write_wide_checkpoint(arguments.directory, arguments.layers, arguments.bin)


if __name__ == "__main__":
    main()
