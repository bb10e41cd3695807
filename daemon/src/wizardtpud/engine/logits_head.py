"""An lm_head that gives logits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wizardtpud.device.runtime import Runtime
from wizardtpud.engine.head import Head
from wizardtpud.engine.sampler import NOT_NUMBERS, checked
from wizardtpud.errors import NotNumbersError


class LogitsHead(Head):
    """The host may choose; the device does so with a greedy_head, if there is one."""

    def __init__(self, runtime: Runtime, lm_head: str, greedy_head: str | None) -> None:
        super().__init__(runtime, lm_head)
        self._first_logit = self._output.view((1,))
        self._token = runtime.allocate((1, 1), np.dtype(np.int32))
        self._greedy = greedy_head and runtime.bind(greedy_head, [self._output], [self._token])

    def logits(self) -> NDArray[Any]:
        self._run()
        row: NDArray[Any] = self._output.read()[0]
        return row

    def likeliest(self) -> int:
        if not self._greedy:
            return int(np.argmax(checked(self.logits())))
        self._run()
        self._greedy.run()
        token = int(self._token.read()[0, 0])
        # Logits that are all NaN come out as token 0, which may well mean the end of the text.
        if token == 0 and np.isnan(self._first_logit.read()[0]):
            raise NotNumbersError(NOT_NUMBERS)
        return token
