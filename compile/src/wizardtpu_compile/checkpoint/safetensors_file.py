"""Safetensors files: eight bytes of length, a JSON header of that length, then the tensors without gaps.

Source: https://github.com/huggingface/safetensors, section "Format".
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from safetensors import SafetensorError, safe_open

from wizardtpu_compile.checkpoint.tensor_file import StoredTensor, TensorFile, packed_strides
from wizardtpu_compile.errors import CheckpointError

_LENGTH_BYTES = 8
_METADATA = "__metadata__"
_DTYPES = {
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F64": "float64",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}


class _Entry(msgspec.Struct):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


def open_safetensors(path: Path) -> TensorFile:
    """Opens a safetensors file; the library checks the header and that the file is as long as it says.

    Raises:
        CheckpointError: it is damaged.
        OSError: it cannot be read.
    """
    try:
        with safe_open(path, framework="numpy"):
            return TensorFile(path, _tensors(path))
    except (SafetensorError, msgspec.DecodeError) as error:
        raise CheckpointError(f"{path} is not a whole safetensors file: {error}") from None


def _tensors(path: Path) -> dict[str, StoredTensor]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        header = msgspec.json.decode(file.read(length), type=dict[str, msgspec.Raw])
    header.pop(_METADATA, None)
    return {name: _tensor(raw, _LENGTH_BYTES + length) for name, raw in header.items()}


def _tensor(raw: msgspec.Raw, data: int) -> StoredTensor:
    entry = msgspec.json.decode(raw, type=_Entry)
    dtype = _DTYPES.get(entry.dtype, entry.dtype)
    return StoredTensor(dtype, entry.shape, packed_strides(entry.shape), data + entry.data_offsets[0])
