from __future__ import annotations

from itertools import pairwise

import pytest
from wizardtpud.engine.sequence import FinishReason
from wizardtpud.errors import DeviceError, DrainingError, QueueFullError, StoppedError, WizardtpudError
from wizardtpud.scheduling.decode_loop import DecodeLoop
from wizardtpud.scheduling.device_watch import DeviceWatch
from wizardtpud.scheduling.events import Delta, Event, Failed, Finished, Queued, Started
from wizardtpud.scheduling.request import Request
from wizardtpud.scheduling.scheduler import Scheduler

from tests.support.recorded_request import Spelling, recorded_request
from tests.support.scripted_engine import Action, ScriptedEngine, nothing


@pytest.fixture
def scheduler() -> Scheduler:
    return Scheduler(queue_capacity=8, slots=1)


def serve(scheduler: Scheduler, *requests: Request, engine: ScriptedEngine | None = None) -> None:
    """Submits, serves until all are done, and checks that nothing is kept."""
    engine = engine or ScriptedEngine()
    for request in requests:
        scheduler.submit(request)
    scheduler.drain()
    DecodeLoop(engine, scheduler, DeviceWatch("engine")).run()
    assert_all_is_given_back(scheduler, engine)


def assert_all_is_given_back(scheduler: Scheduler, engine: ScriptedEngine) -> None:
    assert (scheduler.running, scheduler.queue_depth) == (0, 0)
    assert engine.free_slots == engine.slots


def test_the_life_of_a_request(scheduler: Scheduler) -> None:
    request, recorder = recorded_request(prompt=[5, 6, 7], max_new_tokens=3)

    serve(scheduler, request)

    assert [type(event) for event in recorder.events] == [Queued, Started, Delta, Delta, Delta, Finished]
    assert recorder.of(Queued) == [Queued(position=1, estimated_wait=0.0)]
    assert recorder.of(Started) == [Started(prompt_tokens=3, reused_tokens=0)]
    assert recorder.text == "8 9 10 "
    assert recorder.token_ids == [8, 9, 10]
    assert recorder.last == Finished(FinishReason.MAX_TOKENS, None)
    assert request.generated_tokens == 3


def test_the_states_of_a_request_are_reached_in_order(scheduler: Scheduler) -> None:
    request, _ = recorded_request()

    serve(scheduler, request)

    times = request.times
    assert times.admitted is not None
    assert times.first_token is not None
    assert times.last_token is not None
    assert times.arrived <= times.admitted <= times.first_token < times.last_token


@pytest.mark.parametrize(
    ("prompt", "max_new_tokens", "reason", "generated"),
    [([317], 9, FinishReason.END_OF_TEXT, 3), ([1] * 60, None, FinishReason.CONTEXT_FULL, 4)],
)
def test_the_engine_says_why_a_sequence_ends(
    scheduler: Scheduler, prompt: list[int], max_new_tokens: int | None, reason: FinishReason, generated: int
) -> None:
    request, recorder = recorded_request(prompt, max_new_tokens)

    serve(scheduler, request)

    assert recorder.last == Finished(reason, None)
    assert len(recorder.token_ids) == generated


def test_text_that_is_held_back_travels_with_its_tokens_later(scheduler: Scheduler) -> None:
    request, recorder = recorded_request([1], 4, transcript=Spelling(held={2, 3}))

    serve(scheduler, request)

    deltas = [(delta.text, [token.id for token in delta.tokens]) for delta in recorder.of(Delta)]
    assert deltas == [("2 3 4 ", [2, 3, 4]), ("5 ", [5])]


def test_text_held_back_at_the_end_is_released(scheduler: Scheduler) -> None:
    request, recorder = recorded_request([1], 2, transcript=Spelling(held={3}))

    serve(scheduler, request)

    assert recorder.text == "2 3 "


def test_a_stop_sequence_ends_the_answer(scheduler: Scheduler) -> None:
    request, recorder = recorded_request([1], 9, transcript=Spelling(stop=4))

    serve(scheduler, request)

    assert recorder.text == "2 3 "
    assert recorder.token_ids == [2, 3, 4]
    assert recorder.last == Finished(FinishReason.STOP_SEQUENCE, "4 ")


def test_a_step_may_give_several_tokens(scheduler: Scheduler) -> None:
    request, recorder = recorded_request([1], 7)

    serve(scheduler, request, engine=ScriptedEngine(drafted=5))

    assert [delta.text for delta in recorder.of(Delta)] == ["2 3 4 5 6 ", "7 8 "]
    assert recorder.last == Finished(FinishReason.MAX_TOKENS, None)


def test_a_stop_sequence_drops_the_later_tokens_of_its_step(scheduler: Scheduler) -> None:
    request, recorder = recorded_request([1], 9, transcript=Spelling(stop=4))

    serve(scheduler, request, engine=ScriptedEngine(drafted=5))

    assert recorder.token_ids == [2, 3, 4]
    assert recorder.last == Finished(FinishReason.STOP_SEQUENCE, "4 ")
    assert request.generated_tokens == scheduler.generated_tokens == 3


def test_a_request_starts_only_when_the_one_before_has_ended(scheduler: Scheduler) -> None:
    requests = [recorded_request()[0] for _ in range(3)]

    serve(scheduler, *requests)

    for before, after in pairwise(requests):
        assert before.times.last_token is not None
        assert after.times.admitted is not None
        assert before.times.last_token <= after.times.admitted


def test_as_many_requests_run_as_there_are_slots(scheduler: Scheduler) -> None:
    running: list[tuple[int, int]] = []

    def look() -> None:
        running.append((scheduler.running, scheduler.queue_depth))

    requests = [recorded_request(max_new_tokens=count)[0] for count in (2, 3, 3, 4)]
    serve(scheduler, *requests, engine=ScriptedEngine([look] * 40, slots=2))

    assert list(dict.fromkeys(running)) == [(2, 2), (2, 1), (2, 0), (1, 0)]


def test_positions_are_told_on_every_change(scheduler: Scheduler) -> None:
    requests, recorders = zip(*(recorded_request() for _ in range(3)), strict=True)

    serve(scheduler, *requests)

    assert [[queued.position for queued in recorder.of(Queued)] for recorder in recorders] == [
        [1],
        [2, 1],
        [3, 2, 1],
    ]


def test_who_waits_behind_a_running_request_is_not_promised_a_slot_at_once(scheduler: Scheduler) -> None:
    requests, recorders = zip(*(recorded_request() for _ in range(2)), strict=True)

    serve(scheduler, *requests)

    assert recorders[1].of(Queued)[-1] == Queued(position=1, estimated_wait=None)


def test_a_full_line_refuses(scheduler: Scheduler) -> None:
    for _ in range(8):
        scheduler.submit(recorded_request()[0])
    request, recorder = recorded_request()

    with pytest.raises(QueueFullError, match="8 requests are waiting") as refusal:
        scheduler.submit(request)

    assert refusal.value.retry_after > 0
    assert recorder.events == []
    assert scheduler.queue_depth == scheduler.queue_capacity == 8


def test_cancelling_in_the_line_ends_a_request_at_once(scheduler: Scheduler) -> None:
    (first, _), (second, cancelled), (third, behind) = (recorded_request() for _ in range(3))
    for request in (first, second, third):
        scheduler.submit(request)

    scheduler.cancel(second)

    assert scheduler.queue_depth == 2
    assert scheduler.finished_requests == 1
    assert [queued.position for queued in behind.of(Queued)] == [3, 2]
    serve(scheduler)
    assert cancelled.of(Started) == []
    assert scheduler.finished_requests == 3


@pytest.mark.parametrize("passed", [0, 1, 3], ids=["before the first step", "reading the prompt", "generating"])
def test_cancelling_with_a_slot_ends_a_request_within_a_step(scheduler: Scheduler, passed: int) -> None:
    request, recorder = recorded_request([1] * 20, None)  # three steps of at most 8 tokens read it
    after, after_recorder = recorded_request()
    script: list[Action] = [*[nothing] * passed, lambda: scheduler.cancel(request)]
    engine = ScriptedEngine(script)

    serve(scheduler, request, after, engine=engine)

    assert recorder.endings == []
    assert request.generated_tokens == max(0, passed - 2), "what the running step adds comes too late"
    assert isinstance(after_recorder.last, Finished)
    assert scheduler.finished_requests == 2


def test_cancelling_after_the_end_changes_nothing(scheduler: Scheduler) -> None:
    request, recorder = recorded_request()
    serve(scheduler, request)
    events = list(recorder.events)

    scheduler.cancel(request)

    assert recorder.events == events
    assert scheduler.finished_requests == 1


def test_a_reader_that_falls_behind_loses_its_slot(scheduler: Scheduler) -> None:
    slow, slow_recorder = recorded_request([1], None, capacity=4)
    other, other_recorder = recorded_request([1], 5)

    serve(scheduler, slow, other)

    assert len(slow_recorder.of(Delta)) == 2
    assert slow.generated_tokens == 3
    assert other_recorder.text == "2 3 4 5 6 "


def test_draining_finishes_what_was_accepted_and_takes_nothing_new(scheduler: Scheduler) -> None:
    (running, first), (waiting, second), (late, refused) = (recorded_request() for _ in range(3))
    scheduler.submit(running)
    scheduler.submit(waiting)

    def drain() -> None:
        scheduler.drain()
        with pytest.raises(DrainingError) as refusal:
            scheduler.submit(late)
        assert refusal.value.retry_after > 0

    DecodeLoop(ScriptedEngine([nothing, drain]), scheduler, DeviceWatch("engine")).run()

    assert isinstance(first.last, Finished)
    assert isinstance(second.last, Finished)
    assert refused.events == []


def test_stopping_fails_everyone(scheduler: Scheduler) -> None:
    (running, first), (waiting, second) = (recorded_request() for _ in range(2))
    scheduler.submit(running)
    scheduler.submit(waiting)
    engine = ScriptedEngine([nothing, scheduler.stop])

    DecodeLoop(engine, scheduler, DeviceWatch("engine")).run()

    for recorder in (first, second):
        assert isinstance(recorder.last, Failed)
        assert isinstance(recorder.last.error, StoppedError)
    assert running.generated_tokens == 1, "what the running step adds comes too late"
    assert scheduler.finished_requests == 2
    assert_all_is_given_back(scheduler, engine)
    with pytest.raises(DrainingError):
        scheduler.submit(recorded_request()[0])


def assert_all_failed(scheduler: Scheduler, engine: ScriptedEngine, *last: Event) -> None:
    for failed in last:
        assert isinstance(failed, Failed)
        assert failed == last[0]
    assert scheduler.finished_requests == len(last)
    assert_all_is_given_back(scheduler, engine)
    with pytest.raises(DrainingError):
        scheduler.submit(recorded_request()[0])


def test_a_failing_device_fails_everyone_and_ends_the_loop(scheduler: Scheduler) -> None:
    (running, first), (waiting, second) = (recorded_request() for _ in range(2))
    scheduler.submit(running)
    scheduler.submit(waiting)
    engine = ScriptedEngine([nothing, lambda: setattr(engine.runtime, "failure", "the chip is gone")])

    with pytest.raises(DeviceError, match="the chip is gone") as failure:
        DecodeLoop(engine, scheduler, DeviceWatch("engine")).run()

    assert first.last == Failed(failure.value)
    assert_all_failed(scheduler, engine, first.last, second.last)


def test_a_fault_of_the_daemon_fails_everyone_without_its_text(scheduler: Scheduler) -> None:
    (running, first), (waiting, second) = (recorded_request() for _ in range(2))
    scheduler.submit(running)
    scheduler.submit(waiting)

    def fail() -> None:
        raise KeyError("secret")

    engine = ScriptedEngine([nothing, fail])

    with pytest.raises(KeyError, match="secret"):
        DecodeLoop(engine, scheduler, DeviceWatch("engine")).run()

    assert isinstance(first.last, Failed)
    assert type(first.last.error) is WizardtpudError
    assert "secret" not in str(first.last.error)
    assert_all_failed(scheduler, engine, first.last, second.last)


def test_a_request_that_cannot_be_admitted_is_told_too(scheduler: Scheduler) -> None:
    (misfit, first), (waiting, second) = recorded_request([1] * 100), recorded_request()
    scheduler.submit(misfit)
    scheduler.submit(waiting)
    engine = ScriptedEngine()

    with pytest.raises(ValueError, match="does not fit"):
        DecodeLoop(engine, scheduler, DeviceWatch("engine")).run()

    assert_all_failed(scheduler, engine, first.last, second.last)


def test_counters_count_what_happened(scheduler: Scheduler) -> None:
    counts: list[tuple[int, int]] = []

    def look() -> None:
        counts.append((scheduler.finished_requests, scheduler.generated_tokens))

    serve(scheduler, *(recorded_request()[0] for _ in range(2)), engine=ScriptedEngine([look] * 6))

    assert counts == [(0, 0), (0, 1), (0, 2), (1, 3), (1, 4), (1, 5)]
    assert (scheduler.finished_requests, scheduler.generated_tokens) == (2, 6)
