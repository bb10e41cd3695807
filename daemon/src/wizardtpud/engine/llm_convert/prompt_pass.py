"""Reading several tokens of a prompt at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wizardtpud.device.runtime import Buffer, Runtime
from wizardtpud.engine.llm_convert.cache import Cache
from wizardtpud.engine.llm_convert.history import History
from wizardtpud.engine.llm_convert.token_pass import HIDDEN
from wizardtpud.model.foreign.loaded_llm_convert import LoadedLlmConvert

_INT32 = np.dtype(np.int32)


class PromptPass:
    """The networks of up to `chunk` tokens. What they are bound to depends on how many tokens there are."""

    def __init__(self, runtime: Runtime, model: LoadedLlmConvert, history: History | None) -> None:
        shape = (1, model.chunk)
        self._runtime, self._model, self._history = runtime, model, history
        self._packed = runtime.pack([(shape, _INT32), (shape, _INT32)])
        self._ids, self._positions = self._packed.arrays
        hidden_shape = (*shape, model.hidden)
        self._hidden = [runtime.allocate(hidden_shape, model.dtype) for _ in range(2)]
        self._embedding = runtime.bind("embedding", self._packed.buffers[:1], self._hidden[:1])
        self._masks = [self._causal_mask()] if model.masked else []

    def run(self, cache: Cache, tokens: Sequence[int], start: int) -> Buffer:
        """Reads tokens behind the `start` ones that a cache holds already: none, where there is no history.

        Returns:
            The hidden states [1, H] of the last one, until the next run.

        Raises:
            DeviceError: a launch failed.
        """
        self._embed(tokens, start)
        count, width = len(tokens), self._model.hidden
        taken = count if self._model.dynamic else self._model.chunk
        positions = self._packed.buffers[1].view((1, taken))
        source, target = self._hidden
        for layer in range(self._model.layers):
            inputs = [source.view((1, taken, width)), positions, *self._masks]
            name = f"block_{layer}"
            if start and self._history:
                inputs += self._history.fill(layer, cache, start)
                name = f"block_kv_{layer}"
            outputs = [target, *cache.rows(layer, start, self._model.chunk)]
            self._runtime.bind(name, inputs, outputs).run()
            source, target = target, source
        return source.view((1, width), (count - 1) * width)

    def _embed(self, tokens: Sequence[int], start: int) -> None:
        count = len(tokens)
        self._ids[0, :count], self._ids[0, count:] = tokens, 0
        self._positions[0, :count], self._positions[0, count:] = np.arange(start, start + count), 0
        self._packed.write()
        self._embedding.run()

    def _causal_mask(self) -> Buffer:
        chunk, dtype = self._model.chunk, self._model.dtype
        mask = self._runtime.allocate((1, 1, chunk, chunk), dtype)
        mask.write(np.triu(np.full(mask.shape, HIDDEN, dtype), k=1))
        return mask
