"""Reading one more token of a sequence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wizardtpud.device.runtime import Buffer, Launch, Runtime
from wizardtpud.engine.llm_convert.cache import Cache
from wizardtpud.model.foreign.loaded_llm_convert import LoadedLlmConvert

HIDDEN = -10000.0
"""Added to the attention scores of what is hidden, as the vendor's own programs do."""

_INT32 = np.dtype(np.int32)


class TokenPass:
    """The networks of a token with up to `rows` others before it, bound for every slot.

    Attributes:
        rows: that these networks look back on.
        result: hidden states [1, H] of the token that was read last.
    """

    def __init__(self, runtime: Runtime, model: LoadedLlmConvert, stage: int, caches: Sequence[Cache]) -> None:
        self.rows = model.histories[stage]
        self._row = model.row[0] * model.row[1]
        mask_shape = (1, 1, 1, self.rows + 1)
        self._packed = runtime.pack([((1, 1), _INT32), ((1, 1), _INT32), (mask_shape, model.dtype)])
        self._id, self._position, self._mask = self._packed.arrays
        self._hidden = [runtime.allocate((1, 1, model.hidden), model.dtype) for _ in range(2)]
        ids, *self._inputs = self._packed.buffers
        self._embedding = runtime.bind("embedding_cache", [ids], self._hidden[:1])
        self._blocks = [
            [self._bind(runtime, model, stage, layer, cache) for layer in range(model.layers)] for cache in caches
        ]
        self.result = self._hidden[model.layers % 2].view((1, model.hidden))

    def run(self, slot: int, token: int, position: int) -> None:
        """Reads a token into a slot that has `position` rows, at most `rows`.

        Raises:
            DeviceError: a launch failed.
        """
        self._id[...], self._position[...] = token, position
        self._mask[..., :position], self._mask[..., position:-1] = 0, HIDDEN
        self._packed.write()
        self._embedding.run()
        for block in self._blocks[slot]:
            for output in (1, 2):
                block.place_output(output, position * self._row)
            block.run()

    def _bind(self, runtime: Runtime, model: LoadedLlmConvert, stage: int, layer: int, cache: Cache) -> Launch:
        """A layer; its outputs 1 and 2 are to be placed in the row of the token."""
        source, target = self._hidden[layer % 2], self._hidden[(layer + 1) % 2]
        inputs: list[Buffer] = [source, *self._inputs, *cache.rows(layer, 0, self.rows)]
        outputs = [target, *cache.rows(layer, 0, model.context)]
        return runtime.bind(f"block_cache_{layer}", inputs, outputs, stage)
