"""Stands in for safetensors, whose tensors for PyTorch need PyTorch; here they are numpy arrays."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class _Tensor:
    dtype: str
    shape: list[int]
    data: bytes

    def numpy(self) -> Any:
        return np.frombuffer(self.data, {"F32": np.float32, "F16": np.float16}[self.dtype]).reshape(self.shape)

    def float(self) -> _Tensor:
        if self.dtype == "BF16":  # the upper half of a float32
            wide = (np.frombuffer(self.data, np.uint16).astype(np.uint32) << 16).view(np.float32)
        else:
            wide = self.numpy().astype(np.float32)
        return _Tensor("F32", self.shape, wide.tobytes())


class safe_open:  # noqa: N801 - its name there
    """The tensors of a file, which is read as a whole."""

    def __init__(self, path: str, _framework: str) -> None:
        content = Path(path).read_bytes()
        start = 8 + int.from_bytes(content[:8], "little")
        self._data = content[start:]
        self._entries: dict[str, Any] = json.loads(content[8:start])
        self._entries.pop("__metadata__", None)

    def keys(self) -> Iterable[str]:
        return self._entries.keys()

    def get_tensor(self, name: str) -> _Tensor:
        entry = self._entries[name]
        first, end = entry["data_offsets"]
        return _Tensor(entry["dtype"], entry["shape"], self._data[first:end])
