"""Reading one more token of a sequence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wizardtpud.device.runtime import Runtime
from wizardtpud.engine.wizardcoder_tpu.rows import MASKED, Rows
from wizardtpud.model.foreign.loaded_wizardcoder import LoadedWizardcoder

_INT32 = np.dtype(np.int32)


class TokenPass:
    """The networks of a token, bound for every slot and for every turn of its buffers.

    Attributes:
        result: hidden states [1, H] of the token that was read last.
    """

    def __init__(self, runtime: Runtime, model: LoadedWizardcoder, slots: Sequence[Sequence[Rows]]) -> None:
        self._context = model.context
        self._packed = runtime.pack([((1, 1), _INT32)] * 2 + [((1, 1, 1, model.context + 1), model.dtype)])
        self._id, self._position, self._mask = self._packed.arrays
        hidden = [runtime.allocate((1, 1, model.hidden), model.dtype) for _ in range(2)]
        *ids, mask = self._packed.buffers
        self._embedding = runtime.bind("embedding", ids, hidden[:1], stage=model.embed_token)
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
        self.result = hidden[model.layers % 2].view((1, model.hidden))

    def run(self, slot: int, token: int, position: int, turn: int) -> None:
        """Reads a token into a slot that has `position` rows; `turn` counts those since the prompt, from 0."""
        self._id[...], self._position[...] = token, position
        self._mask[..., : self._context - position] = MASKED
        self._mask[..., self._context - position :] = 0
        self._packed.write()
        self._embedding.run()
        for block in self._turns[slot][turn and 2 - turn % 2]:
            block.run()
