"""An lm_head that gives the most likely token and nothing else."""

from __future__ import annotations

import numpy as np

from wizardtpud.device.runtime import Buffer, Launch, Runtime
from wizardtpud.engine.sampler import NOT_NUMBERS
from wizardtpud.errors import NotNumbersError

_NAME = "lm_head"


class TokenHead:
    """The network `lm_head`, to be bound to what it is to look at before it is asked."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        (spec,) = runtime.networks[_NAME].outputs
        self._token = runtime.allocate(spec.shape, spec.dtype)
        self._looked_at: tuple[Buffer, Launch] | None = None

    def bind(self, hidden: Buffer) -> tuple[Buffer, Launch]:
        """One token's hidden states, and a launch that reads them."""
        return hidden, self._runtime.bind(_NAME, [hidden], [self._token])

    def look_at(self, bound: tuple[Buffer, Launch]) -> None:
        """Names the token that `likeliest` is about."""
        self._looked_at = bound

    def likeliest(self) -> int:
        """The most likely token to follow.

        Raises:
            DeviceError: a launch failed.
            NotNumbersError: the hidden states are not numbers.
        """
        assert self._looked_at is not None
        hidden, launch = self._looked_at
        launch.run()
        token = int(self._token.read().item())
        # What is not a number comes out as token 0, which may well mean the end of the text.
        if token == 0 and not np.isfinite(hidden.read().astype(np.float32)).all():
            raise NotNumbersError(NOT_NUMBERS)
        return token
