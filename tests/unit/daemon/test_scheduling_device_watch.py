from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from wizardtpud.engine import Engine
from wizardtpud.errors import DeviceHungError
from wizardtpud.scheduling.device_thread import DeviceThread
from wizardtpud.scheduling.device_watch import NO_LIMITS, DeviceWatch, HangAlarm, TimeLimits
from wizardtpud.scheduling.events import Failed
from wizardtpud.scheduling.scheduler import Scheduler

from tests.support.eventually import PATIENCE
from tests.support.opener import Opener
from tests.support.recorded_request import recorded_request
from tests.support.scripted_engine import ScriptedEngine

SHORT = 0.02  # seconds


LIMITS = TimeLimits(step=SHORT, load=PATIENCE)


class Clock:
    """Shows what it is set to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(clock: Clock) -> DeviceWatch:
    return DeviceWatch("device 0", TimeLimits(step=20, load=300), clock)


@pytest.mark.parametrize(("kind", "limit"), [("step", 20), ("load", 300)])
def test_work_that_takes_longer_than_it_may(watch: DeviceWatch, clock: Clock, kind: str, limit: int) -> None:
    assert watch.error is None
    with getattr(watch, kind)():
        clock.now += limit
        assert watch.error is None
        clock.now += 1
        assert f"a {kind} on device 0 has not returned after {limit} s" in str(watch.error)
        assert f"raise {kind}_seconds" in str(watch.error)
    assert watch.error is None


@pytest.mark.parametrize("limits", [NO_LIMITS, TimeLimits(load=1)])
def test_a_step_may_take_any_time(limits: TimeLimits, clock: Clock) -> None:
    watch = DeviceWatch("device 0", limits, clock)
    with watch.step():
        clock.now += 1e9
        assert watch.error is None


def test_a_step_that_fails_is_over(watch: DeviceWatch, clock: Clock) -> None:
    with pytest.raises(KeyError), watch.step():
        raise KeyError
    clock.now += 1000
    assert watch.error is None


async def test_the_alarm_is_raised_for_any_of_the_watches() -> None:
    watches = [DeviceWatch("device 0", LIMITS), DeviceWatch("device 1", LIMITS)]
    alarm = HangAlarm(watches)
    with watches[1].step(), pytest.raises(DeviceHungError, match="a step on device 1 has not returned") as raised:
        await asyncio.wait_for(alarm.raised, PATIENCE)

    assert raised.value.retry_after > 0


async def test_no_alarm_is_raised_for_steps_that_return() -> None:
    watch = DeviceWatch("device 0", LIMITS)
    alarm = HangAlarm([watch])
    for _ in range(10):
        with watch.step():
            pass
        await asyncio.sleep(SHORT / 3)

    assert not alarm.raised.done()


async def test_loading_that_hangs_is_noticed() -> None:
    returns = threading.Event()

    @contextmanager
    def hanging() -> Iterator[Engine]:
        returns.wait(PATIENCE)
        yield ScriptedEngine()

    scheduler = Scheduler(4, slots=1)
    device = DeviceThread("device 0", hanging, scheduler, TimeLimits(load=SHORT))
    device.start()
    try:
        with pytest.raises(DeviceHungError, match="a load on device 0"):
            await asyncio.wait_for(HangAlarm([device.watch]).raised, PATIENCE)
    finally:
        scheduler.stop()
        returns.set()
    device.ended.result(PATIENCE)


async def test_an_engine_that_hangs_is_noticed_and_whoever_waits_is_told() -> None:
    returns = threading.Event()
    scheduler = Scheduler(4, slots=1)
    engine = ScriptedEngine([lambda: returns.wait(PATIENCE)])
    device = DeviceThread("device 0", Opener(engine), scheduler, LIMITS)
    clients = [recorded_request() for _ in range(2)]
    for request, _ in clients:
        scheduler.submit(request)
    device.start()
    try:
        alarm = HangAlarm([device.watch])
        with pytest.raises(DeviceHungError) as raised:
            await asyncio.wait_for(alarm.raised, PATIENCE)
        scheduler.fail(raised.value)
        assert [recorder.last for _, recorder in clients] == [Failed(raised.value)] * 2
    finally:
        returns.set()
    device.ended.result(PATIENCE)
    assert all(len(recorder.endings) == 1 for _, recorder in clients), (
        "the step that returned after all adds nothing"
    )
