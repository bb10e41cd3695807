"""The forward pass over one network of a whole prompt and one of a token for each layer."""

from __future__ import annotations

from collections.abc import Sequence

from wizardtpud.device.runtime import Runtime
from wizardtpud.engine.forward import Forward
from wizardtpud.engine.token_head import TokenHead
from wizardtpud.engine.wizardcoder_tpu.prompt_pass import PromptPass
from wizardtpud.engine.wizardcoder_tpu.rows import Rows
from wizardtpud.engine.wizardcoder_tpu.token_pass import TokenPass
from wizardtpud.model.foreign.loaded_wizardcoder import LoadedWizardcoder


class WizardcoderForward(Forward):
    """Reads a prompt in one step, padded to the context, and goes on token by token. Greedy only."""

    def __init__(self, runtime: Runtime, model: LoadedWizardcoder, slots: int = 1) -> None:
        """Allocates the cache and binds every network for every slot.

        Raises:
            DeviceError: the device has no room for that many slots.
        """
        self.slots, self.context, self.vocabulary = slots, model.context, model.vocabulary
        self._rows = [[Rows(runtime, model, layer) for layer in range(model.layers)] for _ in range(slots)]
        self._prompt = PromptPass(runtime, model, self._rows)
        self._token = TokenPass(runtime, model, self._rows)
        self._turns = [0] * slots
        self.head = TokenHead(runtime, "lm_head")
        self._last_token = self.head.bind(self._token.result)

    def read(self, slot: int, tokens: Sequence[int], cached: int) -> int:
        if cached == 0:
            self.head.look_at(self.head.bind(self._prompt.run(slot, tokens)))
            self._turns[slot] = 0
            return len(tokens)
        self._token.run(slot, tokens[cached], cached, self._turns[slot])
        self._turns[slot] += 1
        self.head.look_at(self._last_token)
        return cached + 1

    def clear(self, slot: int) -> None:
        for rows in self._rows[slot]:
            rows.clear()
