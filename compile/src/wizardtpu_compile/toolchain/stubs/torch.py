"""Stands in for PyTorch, which the vendor's front end for ONNX imports only to pass arrays through a tensor.

Installed by wizardtpu-compile into the front end's own environment; it is not PyTorch.
"""

from __future__ import annotations

from typing import Any


class _Tensor:
    def __init__(self, array: Any) -> None:
        self._array = array

    def numpy(self) -> Any:
        return self._array


def tensor(array: Any) -> _Tensor:
    """A thing whose `numpy()` is the array itself."""
    return _Tensor(array)
