"""A step of the model: some new tokens of one sequence against the history in its slot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wizardtpud.device.runtime import Buffer, Launch, Runtime
from wizardtpud.engine.wizardtpu.kv_cache import KeysValues, KvCache
from wizardtpud.engine.wizardtpu.step_inputs import StepInputs
from wizardtpud.model.layout import BlockNetwork, Layout, StepNetworks


@dataclass(frozen=True)
class _BoundBlock:
    """The launch of a block, and which of its outputs are new rows of keys and values."""

    launch: Launch
    row_outputs: range


class Step:
    """The networks for up to `tokens` new tokens, bound to their buffers once for every slot.

    Hidden states pass from block to block through two buffers in turn, and new rows of keys and values are
    written where they belong in the cache. The input buffers serve all slots, for one step runs at a time.
    """

    def __init__(self, runtime: Runtime, layout: Layout, networks: StepNetworks, cache: KvCache) -> None:
        self.tokens = networks.tokens
        self._row = cache.row
        self._inputs = StepInputs(runtime, networks.tokens, layout.context, layout.dtype)
        hidden_shape = (1, networks.tokens, layout.architecture.hidden)
        self._hidden = [runtime.allocate(hidden_shape, layout.dtype) for _ in range(2)]
        ids_and_positions = [self._inputs.ids, self._inputs.positions]
        self._embedding = runtime.bind(networks.embedding, ids_and_positions, self._hidden[:1])
        self._blocks = [self._bind(runtime, networks.blocks, cache.slot(slot)) for slot in range(cache.slots)]

    def run(self, slot: int, ids: Sequence[int], start: int) -> None:
        """Reads tokens into a slot.

        Args:
            slot: where the sequence's history is.
            ids: 1 to `tokens` token ids.
            start: position of the first one, and how many rows of the slot they see;
                `start` + `tokens` rows must fit the slot, for padding is written too.

        Raises:
            DeviceError: a launch failed.
        """
        self._inputs.write(ids, start)
        self._embedding.run()
        offset = start * self._row
        for block in self._blocks[slot]:
            for output in block.row_outputs:
                block.launch.place_output(output, offset)
            block.launch.run()

    def hidden_states(self, index: int) -> Buffer:
        """What the last layer made of the new token `index`: [1, 1, hidden], valid until the next run."""
        last = self._hidden[len(self._blocks[0]) % 2]
        width = last.shape[-1]
        return last.view((1, 1, width), index * width)

    def _bind(
        self, runtime: Runtime, blocks: Sequence[BlockNetwork], layers: Sequence[KeysValues]
    ) -> list[_BoundBlock]:
        bound, first = [], 0
        for index, block in enumerate(blocks):
            source, target = self._hidden[index % 2], self._hidden[(index + 1) % 2]
            own = layers[first : first + block.layers]
            rows = [buffer for layer in own for buffer in (layer.keys, layer.values)]
            launch = runtime.bind(block.name, [source, self._inputs.mask, *rows], [target, *rows])
            bound.append(_BoundBlock(launch, range(1, 1 + len(rows))))
            first += block.layers
        return bound
