"""The forward pass over a prompt's networks and a token's, with keys and values apart."""

from __future__ import annotations

from collections.abc import Sequence

from wizardtpud.device.runtime import Runtime
from wizardtpud.engine.forward import Forward
from wizardtpud.engine.head import Head
from wizardtpud.engine.llm_convert.cache import Cache
from wizardtpud.engine.llm_convert.history import find_history
from wizardtpud.engine.llm_convert.prompt_pass import PromptPass
from wizardtpud.engine.llm_convert.token_pass import TokenPass
from wizardtpud.engine.logits_head import LogitsHead
from wizardtpud.engine.token_head import TokenHead
from wizardtpud.model.foreign.loaded_llm_convert import LoadedLlmConvert


class LlmConvertForward(Forward):
    """Reads a prompt as far as the networks do at once, and goes on token by token."""

    def __init__(self, runtime: Runtime, model: LoadedLlmConvert, slots: int = 1) -> None:
        """Allocates the caches and binds every network of a token for every slot.

        Raises:
            DeviceError: the device has no room for that many slots.
        """
        self.slots, self.context, self.vocabulary = slots, model.context, model.vocabulary
        self._caches = [Cache(runtime, model) for _ in range(slots)]
        history = find_history(runtime, model)
        self._chunk, self._continues = model.chunk, history is not None
        self._prompt = PromptPass(runtime, model, history)
        self.head = _head(runtime, model)
        passes = [TokenPass(runtime, model, stage, self._caches) for stage in range(len(model.histories))]
        self._tokens = [(one, self.head.bind(one.result)) for one in sorted(passes, key=lambda one: one.rows)]

    def read(self, slot: int, tokens: Sequence[int], cached: int) -> int:
        left = len(tokens) - cached
        if cached == 0 or (left > 1 and self._continues):
            chunk = tokens[cached : cached + self._chunk]
            self.head.look_at(self.head.bind(self._prompt.run(self._caches[slot], chunk, cached)))
            return cached + len(chunk)
        step, head = next(found for found in self._tokens if found[0].rows >= cached)
        step.run(slot, tokens[cached], cached)
        self.head.look_at(head)
        return cached + 1

    def clear(self, slot: int) -> None:
        self._caches[slot].clear()


def _head(runtime: Runtime, model: LoadedLlmConvert) -> Head:
    return LogitsHead(runtime, "lm_head", "greedy_head") if model.gives_logits else TokenHead(runtime, "lm_head")
