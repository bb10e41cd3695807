"""Which tokens each new token attends to."""

from __future__ import annotations

from typing import Any

import numpy as np

from wizardtpud.device.runtime import Runtime

HIDDEN = -10000.0
"""Added to the attention scores of what is hidden. Fits a float16; its exponential is 0 in any float type."""


class AttentionMask:
    """An additive mask [1, 1, tokens, history + tokens]: rows of the cache, then the new tokens themselves.

    A new token sees the same rows of the cache as the others, and of the new tokens those up to itself.

    Attributes:
        buffer: the mask on the device.
    """

    def __init__(self, runtime: Runtime, tokens: int, history: int, dtype: np.dtype[Any]) -> None:
        self._host = np.full((1, 1, tokens, history + tokens), HIDDEN, dtype)
        self._host[0, 0, :, history:] = np.triu(np.full((tokens, tokens), HIDDEN, dtype), k=1)
        self._visible = 0
        self.buffer = runtime.allocate(self._host.shape, dtype)
        self.buffer.write(self._host)

    def show(self, rows: int) -> None:
        """Makes the first `rows` rows of the cache visible, and no others."""
        if rows == self._visible:
            return
        changed = slice(min(rows, self._visible), max(rows, self._visible))
        self._host[..., changed] = 0 if rows > self._visible else HIDDEN
        self._visible = rows
        self.buffer.write(self._host)
