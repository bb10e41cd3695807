"""The keys and values of the tokens that each slot's sequence has been read up to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wizardtpud.device.runtime import Buffer, Runtime
from wizardtpud.model.layout import Layout


@dataclass(frozen=True)
class KeysValues:
    """Keys and values of one layer for one slot, each [1, context, kv_heads, head_dim]."""

    keys: Buffer
    values: Buffer


class KvCache:
    """Rows of keys and values, for every layer and slot.

    A layer's rows are one tensor [slots, context, kv_heads, head_dim] for keys and one for values, so that
    neighbouring slots form a batch. Rows are never moved, and need no clearing: attention masks hide what is
    stale, as long as it is numbers.

    Attributes:
        slots: how many sequences have room.
        row: elements of a token's keys (or values) in one layer.
    """

    def __init__(self, runtime: Runtime, layout: Layout, slots: int) -> None:
        numbers = layout.architecture
        self.slots = slots
        self.row = numbers.kv_heads * numbers.head_dim
        self._slot_shape = (1, layout.context, numbers.kv_heads, numbers.head_dim)
        shape = (slots, *self._slot_shape[1:])
        self._layers = [
            KeysValues(runtime.allocate(shape, layout.dtype), runtime.allocate(shape, layout.dtype))
            for _ in range(numbers.layers)
        ]

    def slot(self, slot: int) -> list[KeysValues]:
        """The part of one slot, layer by layer."""
        offset = slot * self._slot_shape[1] * self.row
        return [
            KeysValues(layer.keys.view(self._slot_shape, offset), layer.values.view(self._slot_shape, offset))
            for layer in self._layers
        ]

    def clear(self, slot: int) -> None:
        """Makes all rows of a slot zero."""
        for layer in self.slot(slot):
            for buffer in (layer.keys, layer.values):
                buffer.write(np.zeros(buffer.shape, buffer.dtype))
