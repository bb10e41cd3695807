"""Answers prompts with a bmodel in the layout of the original demonstration, in the way its programs do.

One thing is different: they move rows of the cache within a buffer, over themselves. Here nothing is moved: the
rows of a prompt are written where they end up, and then two buffers take turns, each read from its second row on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self
from wizardtpu_compile.network.wizardcoder_tpu import MASKED
from wizardtpud.device.bmrt.buffer import BmrtBuffer
from wizardtpud.device.bmrt.device import Device
from wizardtpud.device.bmrt.dtypes import code_of
from wizardtpud.device.bmrt.library import BmrtLibrary
from wizardtpud.device.bmrt.structures import Shape, Tensor

FLOAT, INTEGER = np.dtype(np.float32), np.dtype(np.int32)
SHARE_MEMORY = 1  # without it the embedding, which has two stages, gives garbage from the second token on


class WizardcoderRunner:
    """A loaded bmodel with one sequence's cache on a device or its simulator."""

    def __init__(
        self, model: Path, library: BmrtLibrary, *, context: int, layers: int, hidden: int, head_dim: int
    ) -> None:
        self._context, self._layers, self._hidden, self._rows = context, layers, hidden, 2 * head_dim
        self._device = Device(library, [0])
        try:
            self._runtime = self._load(model)
            self._caches = [(self._row_buffer(2 * context), self._row_buffer(context + 1)) for _ in range(layers)]
        except BaseException:
            self._device.close()
            raise

    def greedy(self, prompt: Sequence[int], count: int) -> list[int]:
        """The first `count` tokens of the answer."""
        token, pasts = self._prefill(prompt)
        answer = [token]
        for turn in range(1, count):
            token, pasts = self._decode(token, len(prompt) + turn - 1, pasts, turn)
            answer.append(token)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._device.close()

    def _load(self, model: Path) -> int:
        bmrt = self._device.library.bmrt
        runtime: int = bmrt.bmrt_create_ex(self._device.handles, 1)
        assert runtime
        self._device.on_close(bmrt.bmrt_destroy, runtime)
        bmrt.bmrt_set_flags(runtime, SHARE_MEMORY)
        assert bmrt.bmrt_load_bmodel(runtime, bytes(model)), f"{model} cannot be loaded"
        return runtime

    def _prefill(self, prompt: Sequence[int]) -> tuple[int, list[BmrtBuffer]]:
        """The first token, and for each layer the cache in which the prompt's rows are the last ones."""
        context, tokens = self._context, len(prompt)
        padding = np.zeros(context - tokens, INTEGER)
        hidden = self._embed(
            np.concatenate([np.array(prompt, INTEGER), padding]),
            np.concatenate([np.arange(tokens, dtype=INTEGER), padding]),
        )
        mask = self._filled(np.triu(np.full((1, 1, context, context), MASKED, FLOAT), k=1))
        pasts = []
        for layer, (cache, _) in enumerate(self._caches):
            rows = self._part(cache, context - tokens, context)
            hidden = self._run(f"block_{layer}", [hidden, mask], rows)
            pasts.append(self._part(cache, 0, context))
        return self._head(hidden.view((1, self._hidden), (tokens - 1) * self._hidden)), pasts

    def _decode(
        self, token: int, place: int, pasts: Sequence[BmrtBuffer], turn: int
    ) -> tuple[int, list[BmrtBuffer]]:
        """What follows `token`, which has `place` others before it, and the caches with its rows."""
        hidden = self._embed(np.array([token], INTEGER), np.array([place], INTEGER))
        mask = np.zeros((1, 1, 1, self._context + 1), FLOAT)
        mask[..., : self._context - place] = MASKED
        seen = self._filled(mask)
        newer = []
        for layer, (past, caches) in enumerate(zip(pasts, self._caches, strict=True)):
            cache = caches[turn % 2]
            rows = self._part(cache, 0, self._context + 1)
            hidden = self._run(f"block_cache_{layer}", [hidden, past, seen], rows)
            newer.append(self._part(cache, 1, self._context))
        return self._head(hidden.view((1, self._hidden))), newer

    def _embed(self, ids: NDArray[np.int32], positions: NDArray[np.int32]) -> BmrtBuffer:
        hidden = self._empty(1, len(ids), self._hidden)
        self._launch("embedding", [self._filled(ids[None]), self._filled(positions[None])], [hidden])
        return hidden

    def _run(self, name: str, inputs: Sequence[BmrtBuffer], rows: BmrtBuffer) -> BmrtBuffer:
        hidden = self._empty(*inputs[0].shape)
        self._launch(name, inputs, [hidden, rows])
        return hidden

    def _head(self, hidden: BmrtBuffer) -> int:
        token = BmrtBuffer.zeros(self._device, (1, 1), INTEGER)
        self._launch("lm_head", [hidden], [token])
        return int(token.read()[0, 0])

    def _launch(self, name: str, inputs: Sequence[BmrtBuffer], outputs: Sequence[BmrtBuffer]) -> None:
        """The shapes of the inputs decide which stage runs."""
        sources, targets = _tensors(inputs), _tensors(outputs)
        launch = self._device.library.bmrt.bmrt_launch_tensor_ex
        encoded = name.encode()
        assert launch(self._runtime, encoded, sources, len(sources), targets, len(targets), True, False), name
        self._device.launched()

    def _row_buffer(self, rows: int) -> BmrtBuffer:
        return self._empty(1, rows, self._rows)

    def _part(self, buffer: BmrtBuffer, first: int, rows: int) -> BmrtBuffer:
        return buffer.view((1, rows, self._rows), first * self._rows)

    def _empty(self, *shape: int) -> BmrtBuffer:
        return BmrtBuffer.zeros(self._device, shape, FLOAT)

    def _filled(self, array: NDArray[Any]) -> BmrtBuffer:
        buffer = BmrtBuffer.zeros(self._device, array.shape, array.dtype)
        buffer.write(array)
        return buffer


def _tensors(buffers: Sequence[BmrtBuffer]) -> Any:
    tensors = (Tensor * len(buffers))()
    for tensor, buffer in zip(tensors, buffers, strict=True):
        tensor.dtype = code_of(buffer.dtype)
        tensor.shape = Shape.of(buffer.shape)
        tensor.memory = buffer.memory
    return tensors
