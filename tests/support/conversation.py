"""Asking the daemon, and what a whole stream of events amounts to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from wizardtpu.v1 import generation_pb2 as wire
from wizardtpu.v1 import generation_pb2_grpc as stubs

from tests.support.eventually import PATIENCE


@dataclass
class Answer:
    """The events of one stream, checked to be in order: Queued+, Started, Delta*, Finished."""

    queued: list[wire.Queued] = field(default_factory=list)
    started: wire.Started | None = None
    deltas: list[wire.Delta] = field(default_factory=list)
    finished: wire.Finished | None = None

    @classmethod
    def read(cls, events: Iterable[wire.GenerateResponse]) -> Answer:
        """Reads to the end of the stream, which must be a Finished."""
        answer = cls()
        for event in events:
            answer.add(event)
        assert answer.finished is not None, f"the stream ended after {answer}"
        return answer

    def add(self, event: wire.GenerateResponse) -> None:
        kind = event.WhichOneof("event")
        assert self.finished is None, f"{kind} after Finished"
        if kind == "queued":
            assert self.started is None, "Queued after Started"
            self.queued.append(event.queued)
        elif kind == "started":
            assert self.queued, "Started before Queued"
            assert self.started is None, "Started twice"
            self.started = event.started
        elif kind == "delta":
            assert self.started is not None, "Delta before Started"
            self.deltas.append(event.delta)
        else:
            assert kind == "finished", f"an event without content: {event}"
            assert self.started is not None, "Finished before Started"
            self.finished = event.finished

    @property
    def text(self) -> str:
        return "".join(delta.text for delta in self.deltas)

    @property
    def tokens(self) -> list[wire.Token]:
        return [token for delta in self.deltas for token in delta.tokens]

    @property
    def token_ids(self) -> list[int]:
        return [token.id for token in self.tokens]

    @property
    def reason(self) -> str:
        """Why it ended, without the prefix of the enum, as in "MAX_TOKENS"."""
        assert self.finished is not None
        return wire.FinishReason.Name(self.finished.reason).removeprefix("FINISH_REASON_")

    @property
    def usage(self) -> wire.Usage:
        assert self.finished is not None
        return self.finished.usage


def asking(instruction: str = "write quicksort", *, max_new_tokens: int | None = None) -> wire.GenerateRequest:
    """A plain request."""
    return wire.GenerateRequest(
        instruction=instruction, stopping=wire.StoppingOptions(max_new_tokens=max_new_tokens)
    )


def ask(stub: stubs.GenerationServiceStub, request: wire.GenerateRequest) -> Answer:
    """The whole answer. Raises grpc.RpcError if there is none."""
    return Answer.read(stub.Generate(request, timeout=PATIENCE))


def read_until(events: Iterator[wire.GenerateResponse], kind: str) -> Any:
    """Reads on to the first event of a kind, and returns its content."""
    for event in events:
        if event.WhichOneof("event") == kind:
            return getattr(event, kind)
    raise AssertionError(f"the stream ended before there was a {kind}")
