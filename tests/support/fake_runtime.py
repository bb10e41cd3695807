"""A model whose arithmetic a person can check, on a device made of numpy.

After token t comes `successor(t)`, by default t + 1, and 0, the end of the text, after the last token of the
vocabulary. What was said before t changes nothing, but everything must be in its place. A layer writes each
token's (position, id, mark) as its key and its value, with a mark of its own for either; it reads all rows that
the mask shows, and fails loudly if they are not the positions 0 to p, each once, with that mark. Hidden states
are (position, id, layers passed), and who gets them too early or too late fails. So an engine that mixes up rows,
masks, layers or buffers does not get far.

Logits are 0 for the successor and -d for a token whose id is d away from it.

    runtime, layout = fake_model(vocabulary=320, context=64)
    engine = Engine(StepForward(runtime, layout, slots=2), end_of_text=[0])
    runtime.delay = 0.01        # seconds that every run of the first block takes
    runtime.failure = "gone"    # the next launch raises DeviceError("gone"), and so does every later one
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from wizardtpud.device.host_buffer import HostBuffer, HostPacked
from wizardtpud.device.runtime import Buffer, Launch, Network, Packed, Runtime, TensorSpec
from wizardtpud.errors import DeviceError
from wizardtpud.model.layout import BlockNetwork, Layout, StepNetworks
from wizardtpud.model.manifest import Architecture, block_name, embedding_name, head_name

Array = NDArray[Any]
Tensor = tuple[str, tuple[int, ...], np.dtype[Any]]
Function = Callable[..., Sequence[Array]]

WIDTH = 3
FLOAT, INT = np.dtype(np.float32), np.dtype(np.int32)


def fake_model(
    vocabulary: int = 320,
    context: int = 64,
    chunks: Sequence[int] = (1, 8),
    successor: Callable[[int], float] | None = None,
    *,
    blocks: Sequence[int] = (1,),
    dtype: np.dtype[Any] = FLOAT,
    cycles: Mapping[int, int] | None = None,
) -> tuple[FakeRuntime, Layout]:
    """The device with its networks, and their layout.

    `blocks` are the numbers of layers of each block, `cycles` what a step is said to cost, by its tokens.
    """
    successor = successor or (lambda token: (token + 1) % vocabulary)
    runtime = FakeRuntime(vocabulary, context, chunks, successor, blocks=blocks, dtype=dtype)
    architecture = Architecture(
        family="fake",
        layers=sum(blocks),
        hidden=WIDTH,
        heads=1,
        kv_heads=1,
        head_dim=WIDTH,
        inner=1,
        vocabulary=vocabulary,
        positions=context,
    )
    steps = tuple(
        StepNetworks(
            batch=1,
            tokens=tokens,
            embedding=embedding_name(1, tokens),
            blocks=tuple(
                BlockNetwork(block_name(first, 1, tokens, context), layers) for first, layers in numbered(blocks)
            ),
            lm_head=head_name("lm_head", 1),
            greedy_head=head_name("greedy_head", 1),
            cycles=None if cycles is None else cycles[tokens],
        )
        for tokens in chunks
    )
    return runtime, Layout(architecture, context, dtype, steps)


def numbered(blocks: Sequence[int]) -> list[tuple[int, int]]:
    """The first layer of each block, and its number of layers."""
    return [(sum(blocks[:index]), layers) for index, layers in enumerate(blocks)]


class FakeRuntime(Runtime):
    """Runs the networks described above.

    Attributes:
        delay: seconds that each run of the first block takes: one per prefill chunk or generated token.
        failure: what every launch fails with, if set.
        successor: the id that follows an id; NaN makes all logits NaN, as a broken device does.
        runs: of how many tokens each run of the first block has been.
        closed: whether `close` was called.
    """

    def __init__(
        self,
        vocabulary: int,
        context: int,
        chunks: Sequence[int],
        successor: Callable[[int], float],
        *,
        blocks: Sequence[int],
        dtype: np.dtype[Any],
    ) -> None:
        self.delay = 0.0
        self.failure: str | None = None
        self.successor = successor
        self.runs: list[int] = []
        self.closed = False
        self._vocabulary = vocabulary
        self._context = context
        self._blocks = numbered(blocks)
        self._dtype = dtype
        self._functions: dict[str, Function] = {}
        self.networks = {}
        for tokens in chunks:
            self._add_step(tokens)
        self._add_heads()

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Buffer:
        return HostBuffer.zeros(shape, dtype)

    def pack(self, tensors: Sequence[tuple[tuple[int, ...], np.dtype[Any]]]) -> Packed:
        return HostPacked(tensors)

    def bind(self, network: str, inputs: Sequence[Buffer], outputs: Sequence[Buffer], stage: int = 0) -> Launch:
        assert stage == 0
        return FakeLaunch(self, self.networks[network], self._functions[network], inputs, outputs)

    def close(self) -> None:
        self.closed = True

    def _add_step(self, tokens: int) -> None:
        ids, hidden = (1, tokens), (1, tokens, WIDTH)
        self._add(
            embedding_name(1, tokens),
            [("input_ids", ids, INT), ("position_ids", ids, INT)],
            [("hidden_states", hidden, self._dtype)],
            _embed,
        )
        for first, layers in self._blocks:
            suffixes = [f"_{index}" for index in range(layers)] if layers > 1 else [""]
            kinds = [f"{kind}{suffix}" for suffix in suffixes for kind in "kv"]
            mask, history = (1, 1, tokens, self._context + tokens), (1, self._context, 1, WIDTH)
            self._add(
                block_name(first, 1, tokens, self._context),
                [
                    ("hidden_states", hidden, self._dtype),
                    ("attention_mask", mask, self._dtype),
                    *((f"history_{kind}", history, self._dtype) for kind in kinds),
                ],
                [
                    ("hidden_states_out", hidden, self._dtype),
                    *((f"new_{kind}", (1, tokens, 1, WIDTH), self._dtype) for kind in kinds),
                ],
                partial(self._run_block, first),
            )

    def _add_heads(self) -> None:
        logits = ("logits", (1, self._vocabulary), self._dtype)
        self._add(head_name("lm_head", 1), [("hidden_states", (1, 1, WIDTH), self._dtype)], [logits], self._score)
        self._add(head_name("greedy_head", 1), [logits], [("token", (1, 1), INT)], _most_likely)

    def _add(self, name: str, inputs: list[Tensor], outputs: list[Tensor], function: Function) -> None:
        sources, results = (tuple(TensorSpec(*tensor) for tensor in tensors) for tensors in (inputs, outputs))
        self.networks = {**self.networks, name: Network(name, sources, results)}
        self._functions[name] = function

    def _run_block(self, first: int, hidden: Array, mask: Array, *history: Array) -> Sequence[Array]:
        if first == 0:
            self.runs.append(hidden.shape[1])
            time.sleep(self.delay)
        _require_passed(hidden, first)
        outputs = [_passed(hidden, first + len(history) // 2)]
        for mark, rows in enumerate(history, start=2 * first):
            new_rows = _marked(hidden, mark)
            _require_rows(np.concatenate([rows[0, :, 0], new_rows[0, :, 0]]), hidden[0], mask[0, 0] == 0, mark)
            outputs.append(new_rows)
        return outputs

    def _score(self, hidden: Array) -> Sequence[Array]:
        _require_passed(hidden, sum(layers for _, layers in self._blocks))
        successor = self.successor(int(hidden[0, 0, 1]))
        return [-np.abs(np.arange(self._vocabulary, dtype=np.float32) - successor)[np.newaxis]]


class FakeLaunch(Launch):
    """A function bound to its arrays."""

    def __init__(
        self,
        runtime: FakeRuntime,
        network: Network,
        function: Function,
        inputs: Sequence[Buffer],
        outputs: Sequence[Buffer],
    ) -> None:
        self._runtime = runtime
        self._function = function
        self._specs = network.outputs
        self._inputs = [_array(buffer).reshape(s.shape) for s, buffer in zip(network.inputs, inputs, strict=True)]
        self._targets = [_array(buffer).reshape(-1) for buffer in outputs]
        self._offsets = [0] * len(outputs)

    def place_output(self, index: int, offset: int) -> None:
        self._offsets[index] = offset

    def run(self) -> None:
        if self._runtime.failure is not None:
            raise DeviceError(self._runtime.failure)
        results = self._function(*self._inputs)
        for target, offset, spec, result in zip(self._targets, self._offsets, self._specs, results, strict=True):
            target[offset : offset + result.size] = result.astype(spec.dtype).reshape(-1)


def _array(buffer: Buffer) -> Array:
    assert isinstance(buffer, HostBuffer)
    return buffer.array


def _embed(ids: Array, positions: Array) -> Sequence[Array]:
    return [np.stack([positions, ids, np.zeros_like(ids)], axis=-1)]


def _passed(hidden: Array, layers: int) -> Array:
    output: Array = hidden.copy()
    output[..., 2] = layers
    return output


def _marked(hidden: Array, mark: int) -> Array:
    """New rows [1, T, 1, 3] of keys or values; each layer has a mark for either."""
    rows: Array = hidden[:, :, np.newaxis].copy()
    rows[..., 2] = mark
    return rows


def _require_passed(hidden: Array, layers: int) -> None:
    if (hidden[..., 2] != layers).any():
        raise DeviceError(f"hidden states have passed {hidden[0, :, 2]} layers instead of {layers}")


def _require_rows(rows: Array, hidden: Array, shown: Array, mark: int) -> None:
    for (position, *_), visible in zip(hidden, shown, strict=True):
        seen = rows[visible]
        if not np.array_equal(np.sort(seen[:, 0]), np.arange(position + 1)):
            raise DeviceError(f"the token at {position:.0f} sees the rows of {seen[:, 0]}, not all up to itself")
        if (seen[:, 2] != mark).any():
            raise DeviceError(f"the rows that are marked {mark} were mixed up with those of {seen[:, 2]}")


def _most_likely(logits: Array) -> Sequence[Array]:
    return [np.argmax(logits, axis=-1)[:, np.newaxis]]
