"""An lm_head that gives logits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wizardtpud.device.runtime import Launch, Runtime
from wizardtpud.engine.head import Head
from wizardtpud.engine.sampler import NOT_NUMBERS, checked
from wizardtpud.errors import DeviceError, NotNumbersError


class LogitsHead(Head):
    """The host may choose; the device does so with a greedy_head, if there is one."""

    def __init__(self, runtime: Runtime, lm_head: str, greedy_head: str | None) -> None:
        """Allocates, and tries the device with a choice that is known.

        Raises:
            DeviceError: the device has no room, a launch failed, or it did not choose so.
        """
        super().__init__(runtime, lm_head)
        self._first_logit = self._output.view((1,))
        self._token = runtime.allocate((1, 1), np.dtype(np.int32))
        self._greedy = greedy_head and runtime.bind(greedy_head, [self._output], [self._token])
        if self._greedy:
            self._try(self._greedy)

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

    def _try(self, greedy: Launch) -> None:
        """Sees that a launch reads and writes where it is bound to.

        Older runtimes of the vendor do not know networks that are compiled for any address (io_reloc). They would
        run them on what is at the compiled ones, and say that all is well.
        """
        last = self._output.size - 1
        logits = np.zeros(self._output.shape, self._output.dtype)
        logits[0, last] = 1
        self._output.write(logits)
        greedy.run()
        if int(self._token.read()[0, 0]) != last:
            raise DeviceError(
                "the device does not read and write where it is told to: its runtime is older than the compiler "
                "that made the networks; update libsophon and sophon-sail"
            )
