"""The cache of a layer for one sequence, in a layout whose networks give all of it anew with each token."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from wizardtpud.device.runtime import Buffer, Launch, Runtime
from wizardtpud.model.foreign.loaded_wizardcoder import LoadedWizardcoder

MASKED = -1000.0
"""Added to the attention scores of what is hidden, as these networks were compiled to be told."""


class Rows:
    """Two buffers that take turns, and the launches that read one and write the other.

    The rows of a sequence are the last ones of `context`. A token's network puts its row behind them: the next
    token reads from the second row on, and nothing is moved. A prompt's rows are written where they are to end up,
    so the first buffer has room for the padding behind them.
    """

    def __init__(self, runtime: Runtime, model: LoadedWizardcoder, layer: int) -> None:
        self._model = model
        self._first, self._second = (
            runtime.allocate((1, rows, model.row), model.dtype) for rows in (2 * model.context, model.context + 1)
        )
        self._runtime = runtime
        self._layer = layer

    def bind_prompt(self, hidden: Buffer, mask: Buffer, hidden_out: Buffer) -> Launch:
        """Reads a prompt; output 1 is to be placed so that the prompt's rows are the last ones."""
        return self._runtime.bind(f"block_{self._layer}", [hidden, mask], [hidden_out, self._first])

    def bind_tokens(self, hidden: Buffer, mask: Buffer, hidden_out: Buffer) -> Iterator[Launch]:
        """Reads a token: the first one after a prompt; the second, fourth ...; the third, fifth ..."""
        context, row = self._model.context, self._model.row
        shape = (1, context, row)
        for past, target in (
            (self._first.view(shape), self._second),
            (self._second.view(shape, row), self._first),
            (self._first.view(shape, row), self._second),
        ):
            yield self._runtime.bind(f"block_cache_{self._layer}", [hidden, past, mask], [hidden_out, target])

    def clear(self) -> None:
        for buffer in (self._first, self._second):
            buffer.write(np.zeros(buffer.shape, buffer.dtype))
