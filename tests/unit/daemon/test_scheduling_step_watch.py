from __future__ import annotations

import asyncio
import threading

import pytest
from wizardtpud.errors import DeviceHungError
from wizardtpud.scheduling.device_thread import DeviceThread
from wizardtpud.scheduling.events import Failed
from wizardtpud.scheduling.scheduler import Scheduler
from wizardtpud.scheduling.step_watch import HangAlarm, StepWatch

from tests.support.eventually import PATIENCE
from tests.support.opener import Opener
from tests.support.recorded_request import recorded_request
from tests.support.scripted_engine import ScriptedEngine

SHORT = 0.02  # seconds


class Watch(StepWatch):
    """One whose step takes as long as it is told to have taken."""

    elapsed = 0.0

    @property
    def seconds(self) -> float:
        return self.elapsed


def test_between_steps_no_time_passes() -> None:
    watch = StepWatch("device 0")
    assert watch.seconds == 0
    with watch:
        assert watch.seconds > 0
    assert watch.seconds == 0


def test_a_step_that_fails_is_over() -> None:
    watch = StepWatch("device 0")
    with pytest.raises(KeyError), watch:
        raise KeyError
    assert watch.seconds == 0


async def test_the_alarm_is_raised_for_any_of_the_watches() -> None:
    watches = [Watch("device 0"), Watch("device 1")]
    alarm = HangAlarm(watches, SHORT)
    watches[1].elapsed = 2 * SHORT

    with pytest.raises(DeviceHungError, match="a step on device 1 has not returned") as raised:
        await asyncio.wait_for(alarm.raised, PATIENCE)

    assert raised.value.retry_after > 0


async def test_no_alarm_is_raised_for_steps_that_return() -> None:
    watch = Watch("device 0")
    watch.elapsed = SHORT
    alarm = HangAlarm([watch], SHORT)

    await asyncio.sleep(3 * SHORT)

    assert not alarm.raised.done()


async def test_an_engine_that_hangs_is_noticed_and_whoever_waits_is_told() -> None:
    returns = threading.Event()
    scheduler = Scheduler(4, slots=1)
    engine = ScriptedEngine([lambda: returns.wait(PATIENCE)])
    device = DeviceThread("device 0", Opener(engine), scheduler)
    clients = [recorded_request() for _ in range(2)]
    for request, _ in clients:
        scheduler.submit(request)
    device.start()
    try:
        alarm = HangAlarm([device.watch], SHORT)
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
