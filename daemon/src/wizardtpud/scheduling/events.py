"""What happens to a request, in the order it may happen: Queued+, Started, Delta*, then Finished or Failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from wizardtpud.engine.sequence import FinishReason
from wizardtpud.engine.token import Token
from wizardtpud.errors import WizardtpudError


@dataclass(frozen=True)
class Queued:
    """The request waits; position 1 is next. The wait is an estimate in seconds, absent without experience."""

    position: int
    estimated_wait: float | None


@dataclass(frozen=True)
class Started:
    """The request has a slot."""

    prompt_tokens: int
    reused_tokens: int


@dataclass(frozen=True)
class Delta:
    """Text that may be shown, and the tokens generated since the last Delta."""

    text: str
    tokens: tuple[Token, ...]


@dataclass(frozen=True)
class Finished:
    """The answer is complete."""

    reason: FinishReason
    stop_sequence: str | None


@dataclass(frozen=True)
class Failed:
    """The answer ends here, incomplete."""

    error: WizardtpudError


Event: TypeAlias = Queued | Started | Delta | Finished | Failed
