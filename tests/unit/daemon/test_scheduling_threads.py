"""The scheduler and its owner thread, with the threads they have in the daemon."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from wizardtpud.engine.engine import Engine
from wizardtpud.errors import BundleError, DeviceError
from wizardtpud.scheduling.device_thread import DeviceThread
from wizardtpud.scheduling.events import Event, Failed, Finished
from wizardtpud.scheduling.request import Request
from wizardtpud.scheduling.scheduler import Scheduler

from tests.support.eventually import PATIENCE
from tests.support.opener import Opener
from tests.support.recorded_request import recorded_request
from tests.support.scripted_engine import ScriptedEngine


class Mailbox:
    """An outlet that another thread can wait at."""

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def put(self, event: Event) -> bool:
        self._events.put(event)
        return True

    def last(self) -> Finished | Failed:
        """Waits for the end of the request."""
        while not isinstance(event := self._events.get(timeout=PATIENCE), Finished | Failed):
            pass
        return event


def failing_engine() -> ScriptedEngine:
    engine = ScriptedEngine()
    engine.runtime.failure = "gone"
    return engine


def request_with_mailbox(max_new_tokens: int | None = 3) -> tuple[Request, Mailbox]:
    request, _ = recorded_request([1], max_new_tokens)
    request.outlet = mailbox = Mailbox()
    return request, mailbox


def test_an_idle_scheduler_wakes_up_for_a_request() -> None:
    scheduler, opener = Scheduler(4, slots=1), Opener()
    device = DeviceThread("device", opener, scheduler)
    device.start()
    device.loaded.result(PATIENCE)
    try:
        for _ in range(3):
            request, mailbox = request_with_mailbox()
            scheduler.submit(request)
            assert isinstance(mailbox.last(), Finished)
    finally:
        scheduler.drain()
    device.ended.result(PATIENCE)


@pytest.mark.parametrize("end", [Scheduler.drain, Scheduler.stop])
def test_an_idle_scheduler_ends_when_told(end: object) -> None:
    scheduler, opener = Scheduler(4, slots=1), Opener()
    device = DeviceThread("device", opener, scheduler)
    device.start()
    device.loaded.result(PATIENCE)

    end(scheduler)  # type: ignore[operator]

    device.ended.result(PATIENCE)
    assert opener.opened_in == opener.closed_in != threading.get_ident()


def test_a_daemon_told_to_stop_while_it_loads_serves_nobody() -> None:
    scheduler = Scheduler(4, slots=1)
    device = DeviceThread("device", Opener(), scheduler)
    request, mailbox = request_with_mailbox()
    scheduler.submit(request)
    scheduler.stop()

    device.start()

    device.ended.result(PATIENCE)
    assert isinstance(mailbox.last(), Failed)
    assert request.times.admitted is None


@pytest.mark.parametrize("end", [Scheduler.drain, Scheduler.stop])
def test_a_load_ends_where_it_learns_that_it_is_not_wanted(end: Callable[[Scheduler], None]) -> None:
    scheduler, loading, told = Scheduler(4, slots=1), threading.Event(), threading.Event()

    def open_engine() -> AbstractContextManager[Engine]:
        scheduler.check_wanted()
        loading.set()
        assert told.wait(PATIENCE)
        scheduler.check_wanted()
        raise AssertionError("it goes on")

    device = DeviceThread("device", open_engine, scheduler)
    device.start()
    assert loading.wait(PATIENCE)

    end(scheduler)
    told.set()

    device.ended.result(PATIENCE)
    assert not device.loaded.done()


def test_a_device_that_cannot_be_opened() -> None:
    def open_engine() -> AbstractContextManager[Engine]:
        raise BundleError("the bundle is broken")

    device = DeviceThread("device", open_engine, Scheduler(4, slots=1))

    device.start()

    with pytest.raises(BundleError, match="the bundle is broken"):
        device.ended.result(PATIENCE)
    assert not device.loaded.done()


def test_a_device_that_fails_is_closed() -> None:
    scheduler, opener = Scheduler(4, slots=1), Opener(failing_engine())
    device = DeviceThread("device", opener, scheduler)
    request, mailbox = request_with_mailbox()
    scheduler.submit(request)

    device.start()

    with pytest.raises(DeviceError, match="gone"):
        device.ended.result(PATIENCE)
    failed = mailbox.last()
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, DeviceError)
    assert opener.closed_in == opener.opened_in


def test_clients_of_many_threads_that_come_and_go() -> None:
    openers = [Opener(ScriptedEngine(slots=3, context=256)) for _ in range(2)]
    scheduler = Scheduler(1000, slots=6)
    devices = [DeviceThread("device", opener, scheduler) for opener in openers]
    for device in devices:
        device.start()
    together = threading.Barrier(8)
    failures: queue.SimpleQueue[str] = queue.SimpleQueue()

    def ask(number: int) -> None:
        together.wait(PATIENCE)
        for turn in range(10):
            leaves = (number + turn) % 3 == 0
            request, mailbox = request_with_mailbox(None if leaves else 5)
            scheduler.submit(request)
            if leaves:
                scheduler.cancel(request)
            elif not isinstance(mailbox.last(), Finished):
                failures.put(request.id)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    scheduler.drain()

    for device, opener in zip(devices, openers, strict=True):
        device.ended.result(PATIENCE)
        assert opener.engine.free_slots == 3
    assert failures.empty()
    assert scheduler.finished_requests == 80


def test_engines_work_at_the_same_time() -> None:
    """Each waits in its first step for the other."""
    together = threading.Barrier(2)
    scheduler = Scheduler(4, slots=2)
    script = [lambda: together.wait(PATIENCE)]
    devices = [DeviceThread("device", Opener(ScriptedEngine(script)), scheduler) for _ in range(2)]
    for device in devices:
        device.start()
    clients = [request_with_mailbox() for _ in range(2)]

    for request, _ in clients:
        scheduler.submit(request)

    assert all(isinstance(mailbox.last(), Finished) for _, mailbox in clients)
    scheduler.drain()
    for device in devices:
        device.ended.result(PATIENCE)


def test_an_engine_that_is_loaded_after_another_has_failed_serves_nobody() -> None:
    scheduler = Scheduler(4, slots=2)
    idle, failing = (
        DeviceThread("device", Opener(engine), scheduler) for engine in (ScriptedEngine(), failing_engine())
    )
    request, mailbox = request_with_mailbox()
    scheduler.submit(request)

    failing.start()
    assert isinstance(mailbox.last(), Failed)
    idle.start()

    idle.ended.result(PATIENCE)
    with pytest.raises(DeviceError, match="gone"):
        failing.ended.result(PATIENCE)
