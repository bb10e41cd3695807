"""The end of a step: from a token's hidden states to the token that follows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from numpy.typing import NDArray

from wizardtpud.device.runtime import Buffer, Launch, Runtime
from wizardtpud.errors import DeviceError

Bound = tuple[Buffer, Launch]
"""One token's hidden states, and a launch that reads them."""


class Head(ABC):
    """An lm_head, to be bound to what it is to look at before it is asked."""

    def __init__(self, runtime: Runtime, lm_head: str) -> None:
        (spec,) = runtime.networks[lm_head].outputs
        self._runtime = runtime
        self._lm_head = lm_head
        self._output = runtime.allocate(spec.shape, spec.dtype)
        self._looked_at: Bound | None = None

    def bind(self, hidden: Buffer) -> Bound:
        """Prepares to look at one token's hidden states."""
        return hidden, self._runtime.bind(self._lm_head, [hidden], [self._output])

    def look_at(self, bound: Bound) -> None:
        """Names the token that the other methods are about."""
        self._looked_at = bound

    @abstractmethod
    def likeliest(self) -> int:
        """The most likely token to follow.

        Raises:
            DeviceError: a launch failed.
            NotNumbersError: the logits are not numbers.
        """

    def logits(self) -> NDArray[Any]:
        """What may follow: [vocabulary].

        Raises:
            DeviceError: a launch failed, or the head gives a token and nothing else.
        """
        raise DeviceError("the networks of this layout give no logits")

    def _run(self) -> Buffer:
        """Launches the lm_head; returns the hidden states that it reads."""
        assert self._looked_at is not None
        hidden, launch = self._looked_at
        launch.run()
        return hidden
