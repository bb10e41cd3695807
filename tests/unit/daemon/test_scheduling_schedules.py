"""Whatever the order in which clients come and go: everyone is served in turn, once, and nothing is lost."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from wizardtpud.errors import QueueFullError
from wizardtpud.scheduling.events import Delta, Event, Failed, Finished, Queued, Started
from wizardtpud.scheduling.request import Request
from wizardtpud.scheduling.scheduler import Scheduler

from tests.support.recorded_request import Recorder, Spelling, recorded_request
from tests.support.scripted_engine import Action, ScriptedEngine

CAPACITY = 3
ORDER = (Queued, Started, Delta, Finished)

tokens = st.integers(1, 6)
submission = st.tuples(st.just("submit"), tokens)
cancellation = st.tuples(st.just("cancel"), st.integers(0, 30))
pause = st.tuples(st.just("pause"), st.just(0))
schedules = st.lists(st.one_of(submission, submission, cancellation, pause), max_size=25)


@dataclass
class Clients:
    """Everybody who has asked so far.

    Attributes:
        accepted: in the order of arrival.
        refused: those for whom there was no room.
    """

    scheduler: Scheduler
    accepted: list[tuple[Request, Recorder]] = field(default_factory=list)
    refused: list[tuple[Request, Recorder]] = field(default_factory=list)

    def submit(self, max_new_tokens: int) -> None:
        client = recorded_request([1], max_new_tokens, transcript=Spelling(stop=6))
        room = len(self.waiting) < CAPACITY
        try:
            self.scheduler.submit(client[0])
        except QueueFullError:
            assert not room
            self.refused.append(client)
        else:
            assert room
            self.accepted.append(client)

    def cancel(self, number: int) -> None:
        if self.accepted:
            self.scheduler.cancel(self.accepted[number % len(self.accepted)][0])

    @property
    def waiting(self) -> list[Recorder]:
        return [rec for request, rec in self.accepted if not rec.of(Started) and not request.cancelled]

    def check(self) -> None:
        """Between any two steps."""
        assert self.scheduler.queue_depth == len(self.waiting) <= CAPACITY
        for position, recorder in enumerate(self.waiting, start=1):
            assert recorder.of(Queued)[-1].position == position


def serve(schedule: list[tuple[str, int]], slots: int, drafted: int, end: str) -> tuple[Clients, ScriptedEngine]:
    """Plays a schedule between the steps of an engine which never runs dry, as one more request always runs."""
    scheduler = Scheduler(CAPACITY)
    clients = Clients(scheduler)
    keeper, _ = recorded_request([1], None)
    scheduler.submit(keeper)

    def play(name: str, value: int) -> Action:
        def step() -> None:
            clients.check()
            if name == "submit":
                clients.submit(value)
            elif name == "cancel":
                clients.cancel(value)
            clients.check()

        return step

    def leave() -> None:
        scheduler.cancel(keeper)
        scheduler.drain() if end == "drain" else scheduler.stop()

    script = [*(play(name, value) for name, value in schedule), leave]
    engine = ScriptedEngine(script, slots=slots + 1, context=256, drafted=drafted)
    scheduler.run(engine)
    return clients, engine


@settings(max_examples=60)
@given(schedules, st.integers(1, 3), st.integers(1, 2), st.sampled_from(["drain", "stop"]))
def test_any_schedule(schedule: list[tuple[str, int]], slots: int, drafted: int, end: str) -> None:
    clients, engine = serve(schedule, slots, drafted, end)

    assert engine.free_slots == engine.slots
    assert (clients.scheduler.running, clients.scheduler.queue_depth) == (0, 0)
    assert clients.scheduler.finished_requests == len(clients.accepted) + 1
    assert all(not recorder.events for _, recorder in clients.refused)
    for request, recorder in clients.accepted:
        assert_sound(request, recorder, whole=end == "drain")
    assert_served_in_turn(clients)


def assert_sound(request: Request, recorder: Recorder, *, whole: bool) -> None:
    """One ending, unless it was cancelled before; everything in its order; the text that is expected."""
    *before, last = recorder.events
    assert not any(isinstance(event, Finished | Failed) for event in before)
    ended = isinstance(last, Finished) or (isinstance(last, Failed) and not whole)
    assert ended or request.cancelled
    assert_in_order([event for event in recorder.events if not isinstance(event, Failed)])
    assert recorder.token_ids == list(range(2, 2 + request.generated_tokens))
    assert recorder.text == "".join(f"{token} " for token in recorder.token_ids if token != 6)


def assert_in_order(events: list[Event]) -> None:
    ranks = [ORDER.index(type(event)) for event in events]
    assert ranks == sorted(ranks)
    assert ranks.count(1) <= 1


def assert_served_in_turn(clients: Clients) -> None:
    started = [request.times.admitted for request, recorder in clients.accepted if recorder.of(Started)]
    assert started == sorted(started)  # type: ignore[type-var]
