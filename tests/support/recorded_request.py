"""Requests for the scheduler whose events are kept, with a text that a person can check: token 7 reads "7 "."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeVar

from wizardtpud.engine.sampling import Sampling
from wizardtpud.scheduling.events import Delta, Event, Failed, Finished
from wizardtpud.scheduling.request import Request

E = TypeVar("E", bound=Event)


class Recorder:
    """Keeps the events of a request.

    Args:
        capacity: how many it takes before it is full.
    """

    def __init__(self, capacity: int = 1_000_000) -> None:
        self.events: list[Event] = []
        self._capacity = capacity

    def put(self, event: Event) -> bool:
        if len(self.events) >= self._capacity:
            return False
        self.events.append(event)
        return True

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def text(self) -> str:
        return "".join(delta.text for delta in self.of(Delta))

    @property
    def token_ids(self) -> list[int]:
        return [token.id for delta in self.of(Delta) for token in delta.tokens]

    @property
    def last(self) -> Event:
        return self.events[-1]

    @property
    def endings(self) -> list[Event]:
        return [event for event in self.events if isinstance(event, Finished | Failed)]


class Spelling:
    """A transcript of the tokens' ids. A held token is shown with the next one; a stop token is not shown."""

    def __init__(self, stop: int | None = None, held: Collection[int] = ()) -> None:
        self.stopped_by: str | None = None
        self._stop = stop
        self._held = held
        self._rest = ""

    def push(self, token_id: int) -> str:
        if token_id == self._stop:
            self.stopped_by = f"{token_id} "
            return ""
        text, self._rest = f"{self._rest}{token_id} ", ""
        if token_id in self._held:
            text, self._rest = "", text
        return text

    def finish(self) -> str:
        text, self._rest = self._rest, ""
        return text


def recorded_request(
    prompt: Sequence[int] = (1,),
    max_new_tokens: int | None = 3,
    *,
    transcript: Spelling | None = None,
    capacity: int = 1_000_000,
) -> tuple[Request, Recorder]:
    """A request and what becomes of it."""
    recorder = Recorder(capacity)
    request = Request(
        id=f"request {list(prompt)}",
        prompt=list(prompt),
        sampling=Sampling(),
        max_new_tokens=max_new_tokens,
        transcript=transcript or Spelling(),
        outlet=recorder,
    )
    return request, recorder
