"""Where the tensors of a checkpoint are: safetensors or `.bin` files, whole or in shards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from wizardtpu_compile.checkpoint.safetensors_file import open_safetensors
from wizardtpu_compile.checkpoint.tensor_file import TensorFile
from wizardtpu_compile.checkpoint.torch_file import open_torch_file
from wizardtpu_compile.errors import CheckpointError, reason

# In the order of preference.
LAYOUTS: tuple[tuple[str, Callable[[Path], TensorFile]], ...] = (
    ("model.safetensors", open_safetensors),
    ("pytorch_model.bin", open_torch_file),
)
_POINTER = b"version https://git-lfs"


def open_tensors(directory: Path) -> dict[str, TensorFile]:
    """Opens the tensor files of a checkpoint: the file that holds each tensor, by tensor name.

    Raises:
        CheckpointError: there are none, or one is missing or damaged.
    """
    for name, opener in LAYOUTS:
        index = directory / f"{name}.index.json"
        if index.is_file():
            return _open_shards(index, opener)
        if (directory / name).is_file():
            file = _open(directory / name, opener)
            return dict.fromkeys(file.names, file)
    expected = ", ".join(f"{name} or {name}.index.json" for name, _ in LAYOUTS)
    raise CheckpointError(f"{directory} holds no weights: expected {expected}")


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


def _open_shards(index: Path, opener: Callable[[Path], TensorFile]) -> dict[str, TensorFile]:
    try:
        where = msgspec.json.decode(index.read_bytes(), type=_Index).weight_map
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{index} is not an index of tensors: {error}") from None
    files: dict[str, TensorFile] = {}
    for shard in sorted(set(where.values())):
        path = index.parent / shard
        if Path(shard).name != shard or not path.is_file():
            raise CheckpointError(f"{path} is missing: {index.name} names it")
        files[shard] = _open(path, opener)
    for tensor, shard in where.items():
        if tensor not in files[shard].names:
            raise CheckpointError(f"{index.parent / shard}: tensor {tensor} is missing: {index.name} names it")
    return {tensor: files[shard] for tensor, shard in where.items()}


def _open(path: Path, opener: Callable[[Path], TensorFile]) -> TensorFile:
    try:
        with path.open("rb") as file:
            if file.read(len(_POINTER)) == _POINTER:
                raise CheckpointError(f"{path} is a pointer of Git LFS instead of the weights: run git lfs pull")
        return opener(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {reason(error)}") from None
