"""The element types of sail, `sail.Dtype`."""

from __future__ import annotations

from typing import Any

import numpy as np

from wizardtpud.device.vendor.dtypes import code_of, dtype_of
from wizardtpud.errors import DeviceError

_NAMES = (
    "BM_FLOAT32",
    "BM_FLOAT16",
    "BM_INT8",
    "BM_UINT8",
    "BM_INT16",
    "BM_UINT16",
    "BM_INT32",
    "BM_UINT32",
    "BM_BFLOAT16",
)
"""In the order of the runtime's own codes."""


def dtype_of_sail(sail: Any, element: Any) -> np.dtype[Any]:
    """The numpy type of a `sail.Dtype`.

    Raises:
        DeviceError: there is none, or the package that adds it is not installed.
    """
    for code, name in enumerate(_NAMES):
        if element == getattr(sail.Dtype, name):
            return dtype_of(code)
    raise DeviceError(f"tensors of {element} are not supported")


def sail_of_dtype(sail: Any, dtype: np.dtype[Any]) -> Any:
    """The `sail.Dtype` of what `dtype_of_sail` gave."""
    return getattr(sail.Dtype, _NAMES[code_of(dtype)])


def carrier_of(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The numpy type of the arrays that sail takes and gives for tensors of `dtype`: it knows no half floats."""
    is_half = _NAMES[code_of(dtype)] in ("BM_FLOAT16", "BM_BFLOAT16")
    return np.dtype(np.uint16) if is_half else dtype
