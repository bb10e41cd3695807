"""How the next token is chosen."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sampling:
    """The parameters of one sequence. Their ranges are checked where requests come in.

    Attributes:
        temperature: divides the logits; 0 takes the most likely token (greedy).
        top_k: keep this many of the most likely tokens; 0 keeps all.
        top_p: keep the fewest most likely tokens that together have at least this probability; 1 keeps all.
        repetition_penalty: above 1, makes tokens of the window less likely; 1 changes nothing.
        repetition_window: how many of the last tokens, prompt and answer, the penalty looks at; 0 is all.
        seed: of the sequence's own random numbers, so that a request is reproducible whatever runs beside it.
        logprobs: how many alternatives to report with each token's log probability; None reports neither.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    repetition_window: int = 64
    seed: int = 0
    logprobs: int | None = None

    @property
    def greedy_on_device(self) -> bool:
        """True if the most likely token is all that is asked for, so that logits need not leave the device."""
        return self.temperature == 0 and self.repetition_penalty == 1 and self.logprobs is None
