"""A sequence of token ids on its way through the engine."""

from __future__ import annotations

from collections.abc import Sequence as AbstractSequence
from dataclasses import dataclass
from enum import Enum

from wizardtpud.engine.sampler import Sampler
from wizardtpud.engine.sampling import Sampling
from wizardtpud.engine.token import Token


class FinishReason(Enum):
    """Why a sequence ended. The engine sets the first three; what reads its tokens decides on the last."""

    END_OF_TEXT = "end_of_text"
    MAX_TOKENS = "max_tokens"
    CONTEXT_FULL = "context_full"
    STOP_SEQUENCE = "stop_sequence"


@dataclass(frozen=True)
class Limits:
    """What ends a sequence of its own accord: ids that mean the end, and how many tokens fit the model."""

    end_of_text: frozenset[int]
    context: int


class Sequence:
    """A prompt, and what has been generated after it.

    Attributes:
        prompt: token ids, at least one.
        generated: token ids, the end-of-text token included.
        tokens: the prompt and what was generated after it.
        cached: how many of the tokens, from the first on, have their rows in the KV cache.
        reused_tokens: how many of the prompt's rows were in the cache already at admission.
        finish: why it ended, or None while it runs.
        slot: the slot of the KV cache it occupies.
    """

    def __init__(
        self,
        prompt: AbstractSequence[int],
        sampling: Sampling,
        max_new_tokens: int | None,
        limits: Limits,
        slot: int,
    ) -> None:
        self.prompt = list(prompt)
        self.sampling = sampling
        self.max_new_tokens = max_new_tokens
        self.generated: list[int] = []
        self.tokens = list(prompt)
        self.reused_tokens = 0
        self.cached = 0
        self.finish: FinishReason | None = None
        self.slot = slot
        self.sampler = Sampler(sampling)
        self._limits = limits

    @property
    def prefilling(self) -> bool:
        """True until the last token of the prompt is in the cache."""
        return self.cached < len(self.prompt)

    def append(self, token: Token) -> None:
        """Adds a generated token and notices if the sequence ends with it."""
        self.generated.append(token.id)
        self.tokens.append(token.id)
        self.finish = self._ending(token.id)

    def _ending(self, token_id: int) -> FinishReason | None:
        if token_id in self._limits.end_of_text:
            return FinishReason.END_OF_TEXT
        if self.max_new_tokens is not None and len(self.generated) >= self.max_new_tokens:
            return FinishReason.MAX_TOKENS
        if len(self.tokens) >= self._limits.context:
            return FinishReason.CONTEXT_FULL
        return None
