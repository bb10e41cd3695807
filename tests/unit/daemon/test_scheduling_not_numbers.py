"""Requests whose logits are not numbers: each ends by itself, and too many in a row end everything."""

from __future__ import annotations

import pytest
from wizardtpud.engine.sequence import Sequence
from wizardtpud.errors import DeviceError, NotNumbersError
from wizardtpud.scheduling.decode_loop import DecodeLoop
from wizardtpud.scheduling.device_watch import DeviceWatch
from wizardtpud.scheduling.events import Event, Failed, Finished
from wizardtpud.scheduling.request import Request
from wizardtpud.scheduling.scheduler import Scheduler

from tests.support.recorded_request import Recorder, recorded_request
from tests.support.scripted_engine import Action, ScriptedEngine

POISON = 100  # what follows it is not a number


class Service:
    """A loop over an engine, and for each letter a request: g is good, b bad, c bad and cancelled meanwhile."""

    def __init__(self, kinds: str, slots: int = 1) -> None:
        self.engine = ScriptedEngine(slots=slots)
        self.engine.runtime.successor = lambda token: float("nan") if token == POISON else token + 1
        self.scheduler = Scheduler(len(kinds), slots)
        self.clients = [recorded_request([1] if kind == "g" else [POISON], 1) for kind in kinds]
        for request, _ in self.clients:
            self.scheduler.submit(request)
        self.engine.plays(
            [self._cancelling(kind, client) for kind, client in zip(kinds, self.clients, strict=True)]
        )
        self.scheduler.drain()

    def run(self) -> None:
        try:
            DecodeLoop(self.engine, self.scheduler, DeviceWatch("engine")).run()
        finally:
            assert self.engine.free_slots == self.engine.slots
            assert (self.scheduler.running, self.scheduler.finished_requests) == (0, len(self.clients))

    @property
    def last(self) -> list[Event]:
        return [recorder.last for _, recorder in self.clients]

    def _cancelling(self, kind: str, client: tuple[Request, Recorder]) -> Action:
        return lambda: self.scheduler.cancel(client[0]) if kind == "c" else None


def is_told(event: Event) -> bool:
    return isinstance(event, Failed) and isinstance(event.error, NotNumbersError)


def test_a_request_ends_by_itself_and_without_an_answer() -> None:
    service = Service("gbg")

    service.run()

    first, bad, last = service.last
    assert isinstance(first, Finished)
    assert isinstance(last, Finished)
    assert is_told(bad)
    assert service.clients[1][1].text == ""


def test_those_beside_it_go_on() -> None:
    service = Service("gbg", slots=3)

    service.run()

    assert [is_told(event) for event in service.last] == [False, True, False]


def test_what_it_left_in_its_slot_is_discarded() -> None:
    service = Service("gb")
    discarded = []

    class Noting(ScriptedEngine):
        def discard(self, sequence: Sequence) -> None:
            discarded.append(sequence.prompt)
            super().discard(sequence)

    service.engine.__class__ = Noting
    service.run()

    assert discarded == [[POISON]]


def test_what_was_read_of_a_cancelled_prompt_is_discarded() -> None:
    """Nobody has looked whether it gave numbers."""
    discarded = []

    class Noting(ScriptedEngine):
        def discard(self, sequence: Sequence) -> None:
            discarded.append(sequence)
            super().discard(sequence)

    scheduler, engine = Scheduler(1, 1), Noting()
    loop = DecodeLoop(engine, scheduler, DeviceWatch("engine"))
    for length, expected in ((20, 1), (2, 1)):  # of which the second has been read when it is cancelled
        request, _ = recorded_request([1] * length, 30)
        scheduler.submit(request)
        loop.turn()
        scheduler.cancel(request)
        loop.turn()
        assert (len(discarded), engine.free_slots) == (expected, 1)


@pytest.mark.parametrize("kinds", ["bbgbbgbb", "ccgb"])
def test_a_good_one_in_between_shows_that_the_device_works(kinds: str) -> None:
    service = Service(kinds)

    service.run()

    assert [isinstance(event, Finished) for event in service.last] == [kind == "g" for kind in kinds]


@pytest.mark.parametrize("kinds", ["bbb", "gbbb", "bcb"])
def test_three_in_a_row_end_everything(kinds: str) -> None:
    service = Service(kinds + "gg")

    with pytest.raises(DeviceError, match=r"3 requests in a row failed.*not numbers") as failure:
        service.run()

    assert is_told(service.last[-3])
    assert service.last[-2:] == [Failed(failure.value)] * 2


def test_nobody_is_told_who_has_left() -> None:
    service = Service("c")

    service.run()

    assert service.clients[0][1].endings == []
