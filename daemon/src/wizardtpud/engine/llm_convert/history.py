"""Where the networks of further tokens of a prompt look for those before."""

from __future__ import annotations

from collections.abc import Sequence

from wizardtpud.device.runtime import Buffer, Runtime
from wizardtpud.engine.llm_convert.cache import Cache
from wizardtpud.model.foreign.loaded_llm_convert import LoadedLlmConvert

_KEYS, _VALUES = 2, 3
"""Inputs of `block_kv`."""


class History:
    """Memory of the networks `block_kv` themselves.

    They read keys and values there and nowhere else, whatever they are bound to, and without an error. Other
    networks use the same memory, so it must be filled right before each launch.
    """

    def __init__(self, layers: Sequence[tuple[Buffer, Buffer]]) -> None:
        self._layers = layers

    def fill(self, layer: int, cache: Cache, count: int) -> list[Buffer]:
        """Copies the first `count` rows of a layer there; returns what a launch is to be bound to."""
        filled = []
        for own, rows in zip(self._layers[layer], cache.rows(layer, 0, count), strict=True):
            filled.append(own.view(rows.shape))
            filled[-1].copy_from(rows)
        return filled


def find_history(runtime: Runtime, model: LoadedLlmConvert) -> History | None:
    """None where there are no such networks, or the device does not show their memory."""
    layers = []
    for layer in range(model.layers if model.continues else 0):
        keys, values = (runtime.own_input(f"block_kv_{layer}", index) for index in (_KEYS, _VALUES))
        if keys is None or values is None:
            return None
        layers.append((keys, values))
    return History(layers) if layers else None
