"""What a step is told: token ids, their positions, and which rows of the cache they see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wizardtpud.device.runtime import Runtime

HIDDEN = -10000.0
"""Added to the attention scores of what is hidden. Fits a float16; its exponential is 0 in any float type."""

_INT32 = np.dtype(np.int32)


class StepInputs:
    """The inputs of a step of one sequence, copied to the device together.

    The mask is additive, [1, 1, tokens, history + tokens]: rows of the cache, then the new tokens themselves. A
    new token sees the same rows of the cache as the others, and of the new tokens those up to itself.

    Attributes:
        ids: on the device, i32 [1, tokens].
        positions: likewise.
        mask: on the device.
    """

    def __init__(self, runtime: Runtime, tokens: int, history: int, dtype: np.dtype[Any]) -> None:
        shape = (1, tokens)
        self._packed = runtime.pack([(shape, _INT32), (shape, _INT32), ((1, 1, tokens, history + tokens), dtype)])
        self.ids, self.positions, self.mask = self._packed.buffers
        self._ids, self._positions, self._mask = self._packed.arrays
        self._counted = np.arange(tokens, dtype=_INT32)
        self._visible = 0
        self._mask[..., :history] = HIDDEN
        self._mask[..., history:] = np.triu(np.full((tokens, tokens), HIDDEN, dtype), k=1)

    def write(self, ids: Sequence[int], start: int) -> None:
        """Tells the next step.

        Args:
            ids: 1 to `tokens` token ids.
            start: position of the first one, and how many rows of the cache are visible.
        """
        # Padding repeats the last token: where activations are quantized together, it cannot widen their range.
        self._ids[0, : len(ids)] = ids
        self._ids[0, len(ids) :] = ids[-1]
        np.add(self._counted, start, out=self._positions[0])
        self._show(start)
        self._packed.write()

    def _show(self, rows: int) -> None:
        """Makes the first `rows` rows of the cache visible, and no others."""
        changed = slice(min(rows, self._visible), max(rows, self._visible))
        self._mask[..., changed] = 0 if rows > self._visible else HIDDEN
        self._visible = rows
