"""Whatever the order in which clients come and go: everyone is served in turn, once, and nothing is lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st
from wizardtpud.errors import QueueFullError
from wizardtpud.scheduling.decode_loop import DecodeLoop
from wizardtpud.scheduling.device_watch import DeviceWatch
from wizardtpud.scheduling.events import Delta, Event, Failed, Finished, Queued, Started
from wizardtpud.scheduling.request import Request
from wizardtpud.scheduling.scheduler import Scheduler

from tests.support.recorded_request import Recorder, Spelling, recorded_request
from tests.support.scripted_engine import ScriptedEngine

CAPACITY = 3
ENGINES = 3
ORDER = (Queued, Started, Delta, Finished)

tokens = st.integers(1, 6)
submission = st.tuples(st.just("submit"), tokens)
cancellation = st.tuples(st.just("cancel"), st.integers(0, 30))
pause = st.tuples(st.just("pause"), st.just(0))
actions = st.one_of(submission, submission, cancellation, pause)
turns = st.tuples(actions, st.integers(0, ENGINES - 1))  # what happens during the turn of which engine
schedules = st.lists(turns, max_size=30)


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

    def act(self, name: str, value: int) -> None:
        self.check()
        if name == "submit":
            self.submit(value)
        elif name == "cancel":
            self.cancel(value)
        self.check()

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


Schedule = list[tuple[tuple[str, int], int]]


def serve(schedule: Schedule, engines: list[ScriptedEngine], end: str) -> Clients:
    """Plays a schedule, then lets the loops come to their end one after the other."""
    scheduler = Scheduler(CAPACITY, sum(engine.slots for engine in engines))
    clients = Clients(scheduler)
    loops = [DecodeLoop(engine, scheduler, DeviceWatch("engine")) for engine in engines]
    for (name, value), turn in schedule:
        number = turn % len(engines)
        engines[number].plays([partial(clients.act, name, value)])
        loops[number].turn()
        clients.check()
    scheduler.drain() if end == "drain" else scheduler.stop()
    for loop in loops:
        loop.run()
    return clients


@settings(max_examples=100)
@given(
    schedules, st.integers(1, ENGINES), st.integers(1, 3), st.integers(1, 2), st.sampled_from(["drain", "stop"])
)
def test_any_schedule(schedule: Schedule, count: int, slots: int, drafted: int, end: str) -> None:
    engines = [ScriptedEngine(slots=slots, drafted=drafted) for _ in range(count)]

    clients = serve(schedule, engines, end)

    assert all(engine.free_slots == engine.slots for engine in engines)
    assert (clients.scheduler.running, clients.scheduler.queue_depth) == (0, 0)
    assert clients.scheduler.finished_requests == len(clients.accepted)
    assert clients.scheduler.generated_tokens == sum(request.generated_tokens for request, _ in clients.accepted)
    assert all(not recorder.events for _, recorder in clients.refused)
    for request, recorder in clients.accepted:
        assert_sound(request, recorder, whole=end == "drain")
    assert_served_in_turn(clients)


def assert_sound(request: Request, recorder: Recorder, *, whole: bool) -> None:
    """One ending, unless it was cancelled before; everything in its order; the text that is expected."""
    *before, last = recorder.events
    assert not any(isinstance(event, Finished | Failed) for event in before)
    assert isinstance(last, Finished | Failed) or request.cancelled
    assert not (whole and isinstance(last, Failed))
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
