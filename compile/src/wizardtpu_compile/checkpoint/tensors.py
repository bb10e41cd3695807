"""Where the tensors of a checkpoint are: safetensors or `.bin` files, read lazily, one tensor at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from wizardtpu_compile.errors import CheckpointError

FLOAT_TYPES = ("float32", "float16", "bfloat16")


class TensorFile(ABC):
    """One file of tensors, kept open; nothing is read before it is asked for."""

    names: frozenset[str]

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def shape(self, name: str) -> tuple[int, ...]: ...

    @abstractmethod
    def read(self, name: str) -> NDArray[np.float32]:
        """The tensor as float32.

        Raises:
            CheckpointError: it is not of a floating point type that is supported.
        """


class SafetensorsFile(TensorFile):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            self._file: Any = safe_open(path, framework="numpy")
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path} is not a whole safetensors file: {error}") from None
        self.names = frozenset(self._file.keys())  # type: ignore[no-untyped-call]

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._file.get_slice(name).get_shape())

    def read(self, name: str) -> NDArray[np.float32]:
        array: NDArray[Any] = self._file.get_tensor(name)
        if array.dtype.name not in FLOAT_TYPES:
            raise CheckpointError(_wrong_type(self.path, name, array.dtype.name))
        return array.astype(np.float32)


class TorchFile(TensorFile):
    """A `.bin` file: a zip of raw tensors with a pickled table of contents. Needs torch."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            import torch  # noqa: PLC0415 - an optional dependency, needed for this format alone
        except ImportError:
            raise CheckpointError(
                f"{path} is a .bin file, which only torch can read: pip install 'wizardtpu-compile[torch]' "
                "(or convert the checkpoint to safetensors)"
            ) from None
        self._float32 = torch.float32
        try:
            # mmap: nothing is read yet; weights_only: the pickle can name tensors, never run code.
            tensors: Any = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        except Exception as error:  # torch raises RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ...
            raise CheckpointError(
                f"{path} is not a whole torch checkpoint: {str(error).splitlines()[0]}"
            ) from None
        if not isinstance(tensors, dict) or not all(
            isinstance(tensor, torch.Tensor) for tensor in tensors.values()
        ):
            raise CheckpointError(f"{path} does not hold tensors by name, as a checkpoint does")
        self._tensors: dict[str, Any] = tensors
        self.names = frozenset(tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._tensors[name].shape)

    def read(self, name: str) -> NDArray[np.float32]:
        tensor = self._tensors[name]
        dtype = str(tensor.dtype).removeprefix("torch.")
        if dtype not in FLOAT_TYPES:
            raise CheckpointError(_wrong_type(self.path, name, dtype))
        array: NDArray[np.float32] = tensor.to(self._float32, copy=True).numpy()
        return array


def _wrong_type(path: Path, name: str, dtype: str) -> str:
    return f"{path}: tensor {name} is {dtype}, but only {', '.join(FLOAT_TYPES)} are supported"


# In the order of preference: safetensors need no torch.
LAYOUTS: tuple[tuple[str, type[TensorFile]], ...] = (
    ("model.safetensors", SafetensorsFile),
    ("pytorch_model.bin", TorchFile),
)


def open_tensors(directory: Path) -> dict[str, TensorFile]:
    """Opens the tensor files of a checkpoint: the file that holds each tensor, by tensor name.

    Raises:
        CheckpointError: there are none, one is missing or damaged, or torch is needed and missing.
    """
    for name, kind in LAYOUTS:
        index = directory / f"{name}.index.json"
        if index.is_file():
            return _open_shards(index, kind)
        if (directory / name).is_file():
            file = kind(directory / name)
            return dict.fromkeys(file.names, file)
    expected = ", ".join(f"{name} or {name}.index.json" for name, _ in LAYOUTS)
    raise CheckpointError(f"{directory} holds no weights: expected {expected}")


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


def _open_shards(index: Path, kind: type[TensorFile]) -> dict[str, TensorFile]:
    try:
        where = msgspec.json.decode(index.read_bytes(), type=_Index).weight_map
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{index} is not an index of tensors: {error}") from None
    files: dict[str, TensorFile] = {}
    for shard in sorted(set(where.values())):
        path = index.parent / shard
        if Path(shard).name != shard or not path.is_file():
            raise CheckpointError(f"{path} is missing: {index.name} names it")
        files[shard] = kind(path)
    for tensor, shard in where.items():
        if tensor not in files[shard].names:
            raise CheckpointError(f"{index.parent / shard}: tensor {tensor} is missing: {index.name} names it")
    return {tensor: files[shard] for tensor, shard in where.items()}
