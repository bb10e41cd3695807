"""The keys and values of one sequence."""

from __future__ import annotations

import numpy as np

from wizardtpud.device.runtime import Buffer, Runtime
from wizardtpud.model.foreign.loaded_llm_convert import LoadedLlmConvert


class Cache:
    """Rows of keys and values, in one piece of memory for each layer: keys, then values.

    A network that reads further tokens of a prompt, as many as there are, wants room for all that it could read.
    So there is some to spare at the end, and a view of keys may reach into the values: they stay as they are.
    """

    def __init__(self, runtime: Runtime, model: LoadedLlmConvert) -> None:
        """Allocates.

        Raises:
            DeviceError: the device has no room for it.
        """
        self._context, self._row = model.context, model.row
        rows = 2 * model.context + (model.chunk if model.continues else 0)
        self._layers = [runtime.allocate((rows, *model.row), model.dtype) for _ in range(model.layers)]

    def rows(self, layer: int, first: int, count: int) -> tuple[Buffer, Buffer]:
        """Keys and values of a layer, from row `first` on: [1, count, K, D] each."""
        shape, size = (1, count, *self._row), self._row[0] * self._row[1]
        both = self._layers[layer]
        return both.view(shape, first * size), both.view(shape, (self._context + first) * size)

    def clear(self) -> None:
        for both in self._layers:
            both.write(np.zeros(both.shape, both.dtype))
