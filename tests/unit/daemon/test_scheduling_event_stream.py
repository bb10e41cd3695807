from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from wizardtpud.scheduling.event_stream import EventStream
from wizardtpud.scheduling.events import Delta, Event

from tests.support.eventually import PATIENCE


def delta(number: int) -> Delta:
    return Delta(str(number), ())


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
    events = [delta(number) for number in range(5)]

    assert all(stream.put(event) for event in events)

    assert await taken(stream, 5) == events


async def test_a_reader_that_waits_is_woken_by_another_thread() -> None:
    stream = EventStream(10, never)
    for number in range(3):
        reading = asyncio.create_task(stream.get())
        await asyncio.sleep(0)  # it waits now
        assert not reading.done()

        thread = in_thread(lambda: stream.put(delta(number)))  # noqa: B023

        assert await asyncio.wait_for(reading, PATIENCE) == delta(number)
        thread.join(PATIENCE)


async def test_a_reader_that_was_cancelled_loses_no_event() -> None:
    stream = EventStream(10, never)
    reading = asyncio.create_task(stream.get())
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])

    stream.put(delta(1))

    assert await taken(stream, 1) == [delta(1)]


async def test_a_full_stream_says_so_once_and_takes_nothing_more() -> None:
    overflows: list[str] = []
    stream = EventStream(2, lambda: overflows.append("overflow"))

    accepted = [stream.put(delta(number)) for number in range(5)]

    assert accepted == [True, True, False, False, False]
    assert stream.overflowed
    assert overflows == []  # not in the thread that puts
    assert await taken(stream, 2) == [delta(0), delta(1)]
    assert not stream.put(delta(9))
    await asyncio.sleep(0)
    assert overflows == ["overflow"]


async def test_a_reader_that_keeps_up_makes_room() -> None:
    stream = EventStream(1, never)

    for number in range(5):
        assert stream.put(delta(number))
        assert await taken(stream, 1) == [delta(number)]


async def test_an_overflow_in_another_thread_is_told_in_the_loop() -> None:
    told = asyncio.Event()
    threads: list[int] = []

    def on_overflow() -> None:
        threads.append(threading.get_ident())
        told.set()

    stream = EventStream(0, on_overflow)

    thread = in_thread(lambda: stream.put(delta(0)))

    await asyncio.wait_for(told.wait(), PATIENCE)
    assert threads == [threading.get_ident()]
    thread.join(PATIENCE)


async def test_a_thread_that_puts_as_fast_as_it_can() -> None:
    count = 20_000
    stream = EventStream(count, never)

    def put_all() -> None:
        for number in range(count):
            assert stream.put(delta(number))

    thread = in_thread(put_all)

    assert await taken(stream, count) == [delta(number) for number in range(count)]
    thread.join(PATIENCE)


async def test_a_thread_that_waits_until_each_event_is_read() -> None:
    stream = EventStream(1, never)
    read = threading.Semaphore()

    def put_all() -> None:
        for number in range(2_000):
            assert read.acquire(timeout=PATIENCE)
            assert stream.put(delta(number))

    thread = in_thread(put_all)

    for number in range(2_000):
        assert await asyncio.wait_for(stream.get(), PATIENCE) == delta(number)
        read.release()
    thread.join(PATIENCE)
