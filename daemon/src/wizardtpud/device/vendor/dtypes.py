"""The vendor's codes of element types."""

from __future__ import annotations

from typing import Any

import numpy as np

from wizardtpud.errors import DeviceError

_BFLOAT16 = 8
_PLAIN: dict[int, np.dtype[Any]] = {
    0: np.dtype(np.float32),
    1: np.dtype(np.float16),
    2: np.dtype(np.int8),
    3: np.dtype(np.uint8),
    4: np.dtype(np.int16),
    5: np.dtype(np.uint16),
    6: np.dtype(np.int32),
    7: np.dtype(np.uint32),
}
"""bm_data_type_t, but for the types that numpy does not know."""
_CODES = {dtype: code for code, dtype in _PLAIN.items()}


def dtype_of(code: int) -> np.dtype[Any]:
    """The numpy type of a bm_data_type_t.

    Raises:
        DeviceError: there is none, or the package that adds it is not installed.
    """
    if code == _BFLOAT16:
        return _bfloat16()
    if code not in _PLAIN:
        raise DeviceError(f"tensors of the runtime's type {code} are not supported")
    return _PLAIN[code]


def code_of(dtype: np.dtype[Any]) -> int:
    """The bm_data_type_t of what `dtype_of` gave."""
    return _CODES.get(dtype, _BFLOAT16)


def _bfloat16() -> np.dtype[Any]:
    try:
        import ml_dtypes  # noqa: PLC0415 - only networks of this type need it
    except ImportError as error:
        raise DeviceError("a bfloat16 network needs ml_dtypes: pip install 'wizardtpud[tpu]'") from error
    dtype: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return dtype
