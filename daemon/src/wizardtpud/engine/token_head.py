"""An lm_head that gives the most likely token and nothing else."""

from __future__ import annotations

import numpy as np

from wizardtpud.engine.head import Head
from wizardtpud.engine.sampler import NOT_NUMBERS
from wizardtpud.errors import NotNumbersError


class TokenHead(Head):
    """The device chooses; what it chose from is not seen."""

    def likeliest(self) -> int:
        hidden = self._run()
        token = int(self._output.read().item())
        # What is not a number comes out as token 0, which may well mean the end of the text.
        if token == 0 and not np.isfinite(hidden.read().astype(np.float32)).all():
            raise NotNumbersError(NOT_NUMBERS)
        return token
