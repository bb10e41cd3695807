"""Several engines on one line. Their loops take turns here as the test wants, in one thread."""

from __future__ import annotations

import pytest
from wizardtpud.errors import DeviceError, StoppedError
from wizardtpud.scheduling.decode_loop import DecodeLoop
from wizardtpud.scheduling.device_watch import DeviceWatch
from wizardtpud.scheduling.events import Failed, Finished, Queued, Started
from wizardtpud.scheduling.request import Request
from wizardtpud.scheduling.scheduler import Scheduler

from tests.support.recorded_request import Recorder, recorded_request
from tests.support.scripted_engine import ScriptedEngine


class Pair:
    """Two engines, and requests that go on for long, the first `count` of which wait already."""

    def __init__(self, count: int, slots: tuple[int, int] = (2, 2)) -> None:
        self.scheduler = Scheduler(8, sum(slots))
        self.engines = [ScriptedEngine(slots=each) for each in slots]
        self.loops = [DecodeLoop(engine, self.scheduler, DeviceWatch("engine")) for engine in self.engines]
        self.requests: list[Request] = []
        self.recorders: list[Recorder] = []
        for _ in range(count):
            self.submit()

    def submit(self) -> None:
        request, recorder = recorded_request([1], 30)
        self.scheduler.submit(request)
        self.requests.append(request)
        self.recorders.append(recorder)

    @property
    def started(self) -> list[int]:
        return [number for number, recorder in enumerate(self.recorders) if recorder.of(Started)]

    @property
    def running(self) -> list[int]:
        """How many sequences each engine has."""
        return [engine.slots - engine.free_slots for engine in self.engines]


def test_whoever_has_a_free_slot_takes_the_first_in_line() -> None:
    pair = Pair(5)

    for number, started, running in [(0, [0], [1, 0]), (1, [0, 1, 2], [1, 2]), (0, [0, 1, 2, 3], [2, 2])]:
        pair.loops[number].turn()
        assert (pair.started, pair.running) == (started, running)

    pair.loops[1].turn()
    assert pair.scheduler.queue_depth == 1


def test_an_engine_leaves_the_next_to_one_that_has_less_to_do() -> None:
    pair = Pair(1)
    first, second = pair.loops
    first.turn()
    pair.submit()

    first.turn()
    assert pair.running == [1, 0]
    second.turn()
    assert pair.running == [1, 1]


def test_an_engine_that_is_full_holds_up_nobody() -> None:
    pair = Pair(4, slots=(1, 3))

    for loop in pair.loops:
        loop.turn()

    assert pair.running == [1, 3]


def test_a_slot_that_becomes_free_is_for_the_first_in_line() -> None:
    pair = Pair(6)
    for _ in range(2):
        for loop in pair.loops:
            loop.turn()
    pair.scheduler.cancel(pair.requests[2])

    for loop in pair.loops:
        loop.turn()

    assert pair.started == [0, 1, 2, 3, 4]


def test_positions_and_waits_are_those_of_one_line() -> None:
    pair = Pair(5)

    places = [recorder.last for recorder in pair.recorders]
    assert places == [*(Queued(position, 0.0) for position in (1, 2, 3, 4)), Queued(5, None)]


def test_all_that_was_accepted_is_finished() -> None:
    pair = Pair(7)
    pair.scheduler.drain()

    for loop in pair.loops:
        loop.run()

    assert all(isinstance(recorder.last, Finished) for recorder in pair.recorders)


def test_an_engine_that_fails_ends_everything() -> None:
    pair = Pair(6)
    first, second = pair.loops
    for _ in range(2):
        first.turn()
        second.turn()
    pair.engines[0].runtime.failure = "the chip is gone"

    with pytest.raises(DeviceError, match="the chip is gone") as failure:
        first.run()

    assert [recorder.last for recorder in pair.recorders] == [Failed(failure.value)] * 6
    assert pair.running == [0, 2], "the other engine gives its slots back itself"
    second.run()
    assert pair.running == [0, 0]
    assert (pair.scheduler.running, pair.scheduler.finished_requests) == (0, 6)
    assert all(len(recorder.endings) == 1 for recorder in pair.recorders)


def test_what_a_running_step_yields_after_the_end_is_dropped() -> None:
    pair = Pair(2)
    pair.engines[0].plays([pair.scheduler.stop])

    pair.loops[0].turn()

    for recorder in pair.recorders:
        assert isinstance(recorder.last, Failed)
        assert isinstance(recorder.last.error, StoppedError)
    assert [request.generated_tokens for request in pair.requests] == [0, 0]


def test_the_first_reason_to_end_is_the_one_that_is_told() -> None:
    pair = Pair(1)
    pair.scheduler.fail(DeviceError("first"))

    pair.scheduler.fail(DeviceError("second"))
    pair.scheduler.stop()

    (ending,) = pair.recorders[0].endings
    assert isinstance(ending, Failed)
    assert str(ending.error) == "first"
