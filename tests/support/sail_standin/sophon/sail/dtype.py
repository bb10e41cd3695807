"""Element types."""

from __future__ import annotations

from enum import Enum

import numpy as np


class Dtype(Enum):
    """bm_data_type_t."""

    BM_FLOAT32 = 0
    BM_FLOAT16 = 1
    BM_INT8 = 2
    BM_UINT8 = 3
    BM_INT16 = 4
    BM_UINT16 = 5
    BM_INT32 = 6
    BM_UINT32 = 7
    BM_BFLOAT16 = 8

    @property
    def carrier(self) -> type[np.generic]:
        """Of the arrays that tensors are written from and read to."""
        return _CARRIERS[self.value]


_CARRIERS = (
    np.float32,
    np.uint16,
    np.int8,
    np.uint8,
    np.int16,
    np.uint16,
    np.int32,
    np.uint32,
    np.uint16,
)
