"""Reading one more token of a sequence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wizardtpud.device.runtime import Runtime
from wizardtpud.engine.wizardcoder_tpu.rows import MASKED, Rows
from wizardtpud.model.wizardcoder_layout import WizardcoderLayout

_FLOAT, _INT = np.dtype(np.float32), np.dtype(np.int32)


class TokenPass:
    """The networks of a token, bound for every slot and for every turn of its buffers.

    Attributes:
        result: hidden states [1, H] of the token that was read last.
    """

    def __init__(self, runtime: Runtime, layout: WizardcoderLayout, slots: Sequence[Sequence[Rows]]) -> None:
        self._context = layout.context
        self._packed = runtime.pack([((1, 1), _INT)] * 2 + [((1, 1, 1, layout.context + 1), _FLOAT)])
        self._id, self._position, self._mask = self._packed.arrays
        hidden = [runtime.allocate((1, 1, layout.hidden), _FLOAT) for _ in range(2)]
        *ids, mask = self._packed.buffers
        self._embedding = runtime.bind("embedding", ids, hidden[:1], stage=layout.embed_token)
        self._turns = [
            list(
                zip(
                    *(
                        rows.bind_tokens(hidden[layer % 2], mask, hidden[(layer + 1) % 2])
                        for layer, rows in enumerate(layers)
                    ),
                    strict=True,
                )
            )
            for layers in slots
        ]
        self.result = hidden[layout.layers % 2].view((1, layout.hidden))

    def run(self, slot: int, token: int, position: int, turn: int) -> None:
        """Reads a token into a slot that has `position` rows; `turn` counts those since the prompt, from 0."""
        self._id[...], self._position[...] = token, position
        self._mask[..., : self._context - position] = MASKED
        self._mask[..., self._context - position :] = 0
        self._packed.write()
        self._embedding.run()
        for block in self._turns[slot][turn and 2 - turn % 2]:
            block.run()
