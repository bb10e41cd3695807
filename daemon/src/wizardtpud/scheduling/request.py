"""A request on its way through the daemon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from wizardtpud.engine.sampling import Sampling
from wizardtpud.engine.sequence import FinishReason
from wizardtpud.engine.token import Token
from wizardtpud.scheduling.events import Delta, Event, Finished
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

    `cancelled`, that nobody waits for more of the answer, is set by any thread and read by the owner thread
    between steps; everything that changes below it belongs to that thread once the request has a slot.
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

    def take(self, tokens: Sequence[Token]) -> str:
        """Adds tokens to the answer, as far as a stop sequence; returns the text that may be shown."""
        self.times.generated()
        text = ""
        for token in tokens:
            self.generated_tokens += 1
            self.unsent.append(token)
            text += self.transcript.push(token.id)
            if self.transcript.stopped_by is not None:
                break
        return text

    def send(self, text: str) -> bool:
        """Hands on text with the tokens that are due; False once the reader has fallen too far behind."""
        tokens, self.unsent = tuple(self.unsent), []
        return self.outlet.put(Delta(text, tokens))

    def finish(self, reason: FinishReason, text: str) -> None:
        """Hands on the last text, what was held back included, and that the answer is complete."""
        self.send(text + self.transcript.finish())
        self.outlet.put(Finished(reason, self.transcript.stopped_by))
