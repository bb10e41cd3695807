"""A request on its way through the daemon."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from wizardtpud.engine.sampling import Sampling
from wizardtpud.engine.token import Token
from wizardtpud.scheduling.events import Event
from wizardtpud.scheduling.timestamps import Timestamps


class Transcript(Protocol):
    """Turns generated tokens into text that may be shown."""

    @property
    def stopped_by(self) -> str | None:
        """The stop sequence that appeared, once it has."""

    def push(self, token_id: int) -> str:
        """Takes a token; returns the text it releases, often none."""

    def finish(self) -> str:
        """Returns the text still held back."""


class Outlet(Protocol):
    """Where a request's events go."""

    def put(self, event: Event) -> bool:
        """Takes an event without waiting; False once the reader has fallen too far behind."""


@dataclass(eq=False)
class Request:
    """What is asked, where the answer goes, and how far it has come.

    `cancelled` is set by any thread and read by the owner thread between steps; everything that changes
    below it belongs to the owner thread once the request is submitted.
    """

    id: str
    prompt: list[int]
    sampling: Sampling
    max_new_tokens: int | None
    transcript: Transcript
    outlet: Outlet
    cancelled: bool = False
    reused_tokens: int = 0
    generated_tokens: int = 0
    times: Timestamps = field(default_factory=Timestamps)
    unsent: list[Token] = field(default_factory=list)
