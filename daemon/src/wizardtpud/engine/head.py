"""The end of a step: from a token's hidden states to the token that follows."""

from __future__ import annotations

import numpy as np

from wizardtpud.device.runtime import Buffer, Launch, Runtime
from wizardtpud.engine.sampler import NOT_NUMBERS
from wizardtpud.engine.sequence import Sequence
from wizardtpud.engine.token import Token
from wizardtpud.errors import DeviceError
from wizardtpud.model.layout import Layout, StepNetworks


class Head:
    """The lm_head and, if the bundle has one, the greedy_head, with the buffers between them."""

    def __init__(self, runtime: Runtime, layout: Layout, networks: StepNetworks) -> None:
        self._runtime = runtime
        self._lm_head = networks.lm_head
        self._logits = runtime.allocate((1, layout.architecture.vocabulary), layout.dtype)
        self._first_logit = self._logits.view((1,))
        self._token = runtime.allocate((1, 1), np.dtype(np.int32))
        self._greedy = networks.greedy_head and runtime.bind(networks.greedy_head, [self._logits], [self._token])

    def bind(self, hidden_states: Buffer) -> Launch:
        """An lm_head launch from a token's hidden states [1, 1, hidden] to the logits that `choose` looks at."""
        return self._runtime.bind(self._lm_head, [hidden_states], [self._logits])

    def choose(self, sequence: Sequence) -> Token:
        """The token to follow in a sequence, by the logits of the last launch.

        Raises:
            DeviceError: a launch failed, or the logits are not numbers.
        """
        if self._greedy and sequence.sampling.greedy_on_device:
            self._greedy.run()
            return Token(self._checked(int(self._token.read()[0, 0])))
        return sequence.sampler.choose(self._logits.read()[0], sequence.tokens)

    def _checked(self, token: int) -> int:
        """Logits that are all NaN come out as token 0, which may well mean the end of the text."""
        if token == 0 and np.isnan(self._first_logit.read()[0]):
            raise DeviceError(NOT_NUMBERS)
        return token
