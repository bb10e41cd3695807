"""Reading a prompt, padded to the context."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wizardtpud.device.runtime import Buffer, Runtime
from wizardtpud.engine.wizardcoder_tpu.rows import MASKED, Rows
from wizardtpud.model.foreign.loaded_wizardcoder import LoadedWizardcoder

_INT32 = np.dtype(np.int32)


class PromptPass:
    """The networks of a whole prompt, bound for every slot. The mask of the padded prompt is always the same."""

    def __init__(self, runtime: Runtime, model: LoadedWizardcoder, slots: Sequence[Sequence[Rows]]) -> None:
        context, hidden = model.context, model.hidden
        self._context, self._width, self._row = context, hidden, model.row
        self._packed = runtime.pack([((1, context), _INT32)] * 2)
        self._ids, self._positions = self._packed.arrays
        self._hidden = [runtime.allocate((1, context, hidden), model.dtype) for _ in range(2)]
        mask = runtime.allocate((1, 1, context, context), model.dtype)
        mask.write(np.triu(np.full(mask.shape, MASKED, model.dtype), k=1))
        self._embedding = runtime.bind(
            "embedding", self._packed.buffers, self._hidden[:1], stage=model.embed_prompt
        )
        self._blocks = [
            [
                rows.bind_prompt(self._hidden[layer % 2], mask, self._hidden[(layer + 1) % 2])
                for layer, rows in enumerate(layers)
            ]
            for layers in slots
        ]

    def run(self, slot: int, tokens: Sequence[int]) -> Buffer:
        """Reads a whole prompt into a slot; returns the hidden states [1, H] of its last token."""
        count = len(tokens)
        self._ids[0, :count], self._ids[0, count:] = tokens, 0
        self._positions[0, :count], self._positions[0, count:] = np.arange(count), 0
        self._packed.write()
        self._embedding.run()
        for block in self._blocks[slot]:
            block.place_output(1, (self._context - count) * self._row)
            block.run()
        last = self._hidden[len(self._blocks[slot]) % 2]
        return last.view((1, self._width), (count - 1) * self._width)
