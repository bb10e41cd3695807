from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from wizardtpud.engine.sequence import FinishReason
from wizardtpud.engine.token import Token
from wizardtpud.scheduling.event_stream import EventStream
from wizardtpud.scheduling.events import Delta, Event, Finished, Queued, Started

from tests.support.eventually import PATIENCE


def numbered(number: int) -> Started:
    return Started(number, 0)


def delta(number: int) -> Delta:
    return Delta(str(number), (Token(number),))


def never() -> None:
    raise AssertionError("the stream must not overflow")


async def taken(stream: EventStream, count: int) -> list[Event]:
    return [await asyncio.wait_for(stream.get(), PATIENCE) for _ in range(count)]


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


async def test_events_come_out_in_the_order_they_went_in() -> None:
    stream = EventStream(10, never)
    events = [numbered(number) for number in range(5)]

    assert all(stream.put(event) for event in events)

    assert await taken(stream, 5) == events


async def test_a_reader_that_waits_is_woken_by_another_thread() -> None:
    stream = EventStream(10, never)
    for number in range(3):
        reading = asyncio.create_task(stream.get())
        await asyncio.sleep(0)  # it waits now
        assert not reading.done()

        thread = in_thread(lambda: stream.put(numbered(number)))  # noqa: B023

        assert await asyncio.wait_for(reading, PATIENCE) == numbered(number)
        thread.join(PATIENCE)


async def test_a_reader_that_was_cancelled_loses_no_event() -> None:
    stream = EventStream(10, never)
    reading = asyncio.create_task(stream.get())
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])

    stream.put(numbered(1))

    assert await taken(stream, 1) == [numbered(1)]


async def test_a_full_stream_says_so_once_and_takes_nothing_more() -> None:
    overflows: list[str] = []
    stream = EventStream(2, lambda: overflows.append("overflow"))

    accepted = [stream.put(numbered(number)) for number in range(5)]

    assert accepted == [True, True, False, False, False]
    assert stream.overflowed
    assert overflows == []  # not in the thread that puts
    assert await taken(stream, 2) == [numbered(0), numbered(1)]
    assert not stream.put(numbered(9))
    await asyncio.sleep(0)
    assert overflows == ["overflow"]


async def test_a_reader_that_keeps_up_makes_room() -> None:
    stream = EventStream(1, never)

    for number in range(5):
        assert stream.put(numbered(number))
        assert await taken(stream, 1) == [numbered(number)]


async def test_an_overflow_in_another_thread_is_told_in_the_loop() -> None:
    told = asyncio.Event()
    threads: list[int] = []

    def on_overflow() -> None:
        threads.append(threading.get_ident())
        told.set()

    stream = EventStream(0, on_overflow)

    thread = in_thread(lambda: stream.put(numbered(0)))

    await asyncio.wait_for(told.wait(), PATIENCE)
    assert threads == [threading.get_ident()]
    thread.join(PATIENCE)


async def test_a_thread_that_puts_as_fast_as_it_can() -> None:
    count = 20_000
    stream = EventStream(count, never)

    def put_all() -> None:
        for number in range(count):
            assert stream.put(numbered(number))

    thread = in_thread(put_all)

    assert await taken(stream, count) == [numbered(number) for number in range(count)]
    thread.join(PATIENCE)


async def test_a_thread_that_waits_until_each_event_is_read() -> None:
    stream = EventStream(1, never)
    read = threading.Semaphore()

    def put_all() -> None:
        for number in range(2_000):
            assert read.acquire(timeout=PATIENCE)
            assert stream.put(numbered(number))

    thread = in_thread(put_all)

    for number in range(2_000):
        assert await asyncio.wait_for(stream.get(), PATIENCE) == numbered(number)
        read.release()
    thread.join(PATIENCE)


async def test_deltas_that_wait_together_are_read_as_one() -> None:
    stream = EventStream(10, never)
    for event in (delta(0), delta(1), numbered(7), delta(2), delta(3), delta(4)):
        stream.put(event)

    assert await taken(stream, 3) == [
        Delta("01", (Token(0), Token(1))),
        numbered(7),
        Delta("234", (Token(2), Token(3), Token(4))),
    ]


async def test_a_rest_ends_after_its_time() -> None:
    stream = EventStream(10, never)
    stream.put(delta(0))

    await asyncio.wait_for(stream.rest(0.001), PATIENCE)

    assert await taken(stream, 1) == [delta(0)]


@pytest.mark.parametrize(
    "ending", [[delta(number) for number in range(5)], [numbered(1)], [delta(0), numbered(1)]], ids=str
)
async def test_a_rest_ends_early(ending: list[Event]) -> None:
    """Half of the capacity is used, or there is more to tell than text."""
    stream = EventStream(10, never)
    resting = asyncio.create_task(stream.rest(3600))
    await asyncio.sleep(0)

    in_thread(lambda: [stream.put(event) for event in ending]).join(PATIENCE)

    await asyncio.wait_for(resting, PATIENCE)


async def test_too_little_does_not_end_a_rest() -> None:
    stream = EventStream(10, never)
    resting = asyncio.create_task(stream.rest(3600))
    await asyncio.sleep(0)

    in_thread(lambda: [stream.put(delta(number)) for number in range(4)]).join(PATIENCE)
    await asyncio.sleep(0.01)

    assert not resting.done()
    resting.cancel()


async def test_a_reader_that_rested_is_woken_by_the_next_event() -> None:
    stream = EventStream(10, never)
    await asyncio.wait_for(stream.rest(0.001), PATIENCE)
    reading = asyncio.create_task(stream.get())
    await asyncio.sleep(0)

    in_thread(lambda: stream.put(delta(0))).join(PATIENCE)

    assert await asyncio.wait_for(reading, PATIENCE) == delta(0)


async def test_there_is_no_rest_when_the_end_waits_already() -> None:
    stream = EventStream(10, never)
    for event in (numbered(0), delta(0), Finished(FinishReason.END_OF_TEXT, None)):
        stream.put(event)
    assert await taken(stream, 2) == [numbered(0), delta(0)]

    await asyncio.wait_for(stream.rest(3600), PATIENCE)

    assert await taken(stream, 1) == [Finished(FinishReason.END_OF_TEXT, None)]


async def test_an_overflow_ends_a_reader_that_rests() -> None:
    """Also when it is just being woken by what filled the stream."""

    async def read() -> None:
        await stream.rest(3600)
        while True:
            await stream.get()

    reading = asyncio.create_task(read())
    stream = EventStream(4, reading.cancel)
    await asyncio.sleep(0)

    in_thread(lambda: [stream.put(delta(number)) for number in range(5)]).join(PATIENCE)

    await asyncio.wait([reading], timeout=PATIENCE)
    assert reading.cancelled()


async def test_only_the_newest_position_is_told_and_none_is_too_many() -> None:
    stream = EventStream(2, never)

    for position in range(1000, 0, -1):
        assert stream.put(Queued(position, None))
    assert stream.put(numbered(0))

    assert await taken(stream, 2) == [Queued(1, None), numbered(0)]


async def test_positions_that_are_replaced_while_they_are_read() -> None:
    stream = EventStream(1, never)
    thread = in_thread(lambda: [stream.put(Queued(position, None)) for position in range(20_000, -1, -1)])

    last = Queued(20_001, None)
    while last.position > 0:
        (event,) = await taken(stream, 1)
        assert isinstance(event, Queued)
        assert event.position < last.position
        last = event
    thread.join(PATIENCE)
