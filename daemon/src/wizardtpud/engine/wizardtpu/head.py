"""The end of a step: from a token's hidden states to the token that follows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wizardtpud.device.runtime import Launch, Runtime
from wizardtpud.engine.sampler import NOT_NUMBERS, checked
from wizardtpud.engine.wizardtpu.step import Step
from wizardtpud.errors import NotNumbersError
from wizardtpud.model.layout import Layout, StepNetworks


class Head:
    """The lm_head and, if the bundle has one, the greedy_head, with the buffers between them.

    The lm_head is bound once for each place in a step that a token may have.
    """

    def __init__(self, runtime: Runtime, layout: Layout, networks: StepNetworks) -> None:
        self._runtime = runtime
        self._lm_head = networks.lm_head
        self._bound: dict[tuple[int, int], Launch] = {}
        self._logits = runtime.allocate((1, layout.architecture.vocabulary), layout.dtype)
        self._first_logit = self._logits.view((1,))
        self._token = runtime.allocate((1, 1), np.dtype(np.int32))
        self._greedy = networks.greedy_head and runtime.bind(networks.greedy_head, [self._logits], [self._token])

    def look_at(self, step: Step, index: int) -> None:
        """Names the token that the other methods are about: number `index` of what a step read last."""
        place = (step.tokens, index)
        if place not in self._bound:
            hidden = step.hidden_states(index)
            self._bound[place] = self._runtime.bind(self._lm_head, [hidden], [self._logits])
        self._launch = self._bound[place]

    def logits(self) -> NDArray[Any]:
        """What may follow: [vocabulary]."""
        self._launch.run()
        row: NDArray[Any] = self._logits.read()[0]
        return row

    def likeliest(self) -> int:
        """The most likely token to follow.

        Raises:
            DeviceError: a launch failed.
            NotNumbersError: the logits are not numbers.
        """
        if not self._greedy:
            return int(np.argmax(checked(self.logits())))
        self._launch.run()
        self._greedy.run()
        token = int(self._token.read()[0, 0])
        # Logits that are all NaN come out as token 0, which may well mean the end of the text.
        if token == 0 and np.isnan(self._first_logit.read()[0]):
            raise NotNumbersError(NOT_NUMBERS)
        return token
