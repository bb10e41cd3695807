"""A model whose arithmetic a person can check, on a device made of numpy.

After token t comes `successor(t)`, by default t + 1, and 0, the end of the text, after the last token of the
vocabulary. What was said before t changes nothing, but every row of the cache must be in its place: the one
layer writes each token's (position, id) as its key and its value, reads all rows that the mask shows, and fails
loudly if they are not the positions 0 to p, each once. So an engine that mixes up rows or masks does not get far.

Logits are 0 for the successor and -d for a token whose id is d away from it.

    runtime, layout = fake_model(vocabulary=320, context=64)
    engine = Engine(runtime, layout, end_of_text=[0], slots=2)
    runtime.delay = 0.01        # seconds that every run of the layer takes
    runtime.failure = "gone"    # the next launch raises DeviceError("gone"), and so does every later one
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from wizardtpud.device.host_buffer import HostBuffer
from wizardtpud.device.runtime import Buffer, Launch, Network, Runtime, TensorSpec
from wizardtpud.errors import DeviceError
from wizardtpud.model.layout import Layout, StepNetworks
from wizardtpud.model.manifest import Architecture, block_name, embedding_name, head_name

Array = NDArray[Any]
Tensor = tuple[str, tuple[int, ...], np.dtype[Any]]
Function = Callable[..., Sequence[Array]]

FLOAT, INT = np.dtype(np.float32), np.dtype(np.int32)


def fake_model(
    vocabulary: int = 320,
    context: int = 64,
    chunks: Sequence[int] = (1, 8),
    successor: Callable[[int], float] | None = None,
) -> tuple[FakeRuntime, Layout]:
    """The device with its networks, and their layout."""
    runtime = FakeRuntime(vocabulary, context, chunks, successor or (lambda token: (token + 1) % vocabulary))
    architecture = Architecture(
        family="fake",
        layers=1,
        hidden=2,
        heads=1,
        kv_heads=1,
        head_dim=2,
        inner=1,
        vocabulary=vocabulary,
        positions=context,
    )
    steps = tuple(
        StepNetworks(
            batch=1,
            tokens=tokens,
            embedding=embedding_name(1, tokens),
            blocks=(block_name(0, 1, tokens, context),),
            lm_head=head_name("lm_head", 1),
            greedy_head=head_name("greedy_head", 1),
        )
        for tokens in chunks
    )
    return runtime, Layout(architecture, context, FLOAT, steps)


class FakeRuntime(Runtime):
    """Runs the networks described above.

    Attributes:
        delay: seconds that each run of the layer takes: one per prefill chunk or generated token.
        failure: what every launch fails with, if set.
        successor: the id that follows an id; NaN makes all logits NaN, as a broken device does.
        runs: of how many tokens each run of the layer has been.
        closed: whether `close` was called.
    """

    def __init__(
        self, vocabulary: int, context: int, chunks: Sequence[int], successor: Callable[[int], float]
    ) -> None:
        self.delay = 0.0
        self.failure: str | None = None
        self.successor = successor
        self.runs: list[int] = []
        self.closed = False
        self._vocabulary = vocabulary
        self._context = context
        self._functions: dict[str, Function] = {}
        self.networks = {}
        for tokens in chunks:
            self._add_step(tokens)
        self._add_heads()

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Buffer:
        return HostBuffer.zeros(shape, dtype)

    def bind(self, network: str, inputs: Sequence[Buffer], outputs: Sequence[Buffer]) -> Launch:
        return FakeLaunch(self, self.networks[network], self._functions[network], inputs, outputs)

    def close(self) -> None:
        self.closed = True

    def _add_step(self, tokens: int) -> None:
        ids = (1, tokens)
        hidden, rows, history = (1, tokens, 2), (1, tokens, 1, 2), (1, self._context, 1, 2)
        self._add(
            embedding_name(1, tokens),
            [("input_ids", ids, INT), ("position_ids", ids, INT)],
            [("hidden_states", hidden, FLOAT)],
            _embed,
        )
        self._add(
            block_name(0, 1, tokens, self._context),
            [
                ("hidden_states", hidden, FLOAT),
                ("attention_mask", (1, 1, tokens, self._context + tokens), FLOAT),
                ("history_k", history, FLOAT),
                ("history_v", history, FLOAT),
            ],
            [("hidden_states_out", hidden, FLOAT), ("new_k", rows, FLOAT), ("new_v", rows, FLOAT)],
            self._run_layer,
        )

    def _add_heads(self) -> None:
        logits = ("logits", (1, self._vocabulary), FLOAT)
        self._add(head_name("lm_head", 1), [("hidden_states", (1, 1, 2), FLOAT)], [logits], self._score)
        self._add(head_name("greedy_head", 1), [logits], [("token", (1, 1), INT)], _most_likely)

    def _add(self, name: str, inputs: list[Tensor], outputs: list[Tensor], function: Function) -> None:
        specs = [tuple(TensorSpec(*tensor) for tensor in tensors) for tensors in (inputs, outputs)]
        self.networks = {**self.networks, name: Network(name, *specs)}
        self._functions[name] = function

    def _run_layer(self, hidden: Array, mask: Array, keys: Array, values: Array) -> Sequence[Array]:
        self.runs.append(hidden.shape[1])
        time.sleep(self.delay)
        for token, (position, _) in enumerate(hidden[0]):
            shown = mask[0, 0, token] == 0
            for rows in (keys, values):
                seen = np.concatenate([rows[0, :, 0, 0], hidden[0, :, 0]])[shown]
                if not np.array_equal(np.sort(seen), np.arange(position + 1)):
                    raise DeviceError(f"the token at {position:.0f} sees the rows of {seen}, not all up to itself")
        new_rows = hidden[:, :, np.newaxis]
        return hidden, new_rows, new_rows

    def _score(self, hidden: Array) -> Sequence[Array]:
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
    return [np.stack([positions, ids], axis=-1)]


def _most_likely(logits: Array) -> Sequence[Array]:
    return [np.argmax(logits, axis=-1)[:, np.newaxis]]
