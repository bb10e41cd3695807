"""The decode loop looks after the devices: it alone may have their library asked."""

from __future__ import annotations

import threading

import pytest
from wizardtpud.device.telemetry import DeviceReading, Telemetry
from wizardtpud.errors import DeviceError
from wizardtpud.scheduling.decode_loop import DecodeLoop
from wizardtpud.scheduling.device_watch import DeviceWatch
from wizardtpud.scheduling.events import Failed
from wizardtpud.scheduling.scheduler import Scheduler

from tests.support.eventually import eventually
from tests.support.recorded_request import recorded_request
from tests.support.scripted_engine import ScriptedEngine


class Sensor:
    """What a library says, each time differently; of the device's look number `breaks_at` that it is broken."""

    def __init__(self, breaks_at: int | None = None) -> None:
        self.looks = 0
        self._breaks_at = breaks_at

    def read(self) -> DeviceReading:
        self.looks += 1
        return DeviceReading(7, fault=self.looks == self._breaks_at)


def loop_over(sensor: Sensor) -> tuple[DecodeLoop, Scheduler]:
    """Whose clock lets the library be asked each time."""
    engine, scheduler = ScriptedEngine(), Scheduler(8, 1)
    seconds = iter(range(10_000))
    engine.telemetry = [Telemetry(7, library=sensor, clock=lambda: float(next(seconds)))]
    return DecodeLoop(engine, scheduler, DeviceWatch("engine")), scheduler


def test_the_library_is_asked_between_steps() -> None:
    sensor = Sensor()
    loop, scheduler = loop_over(sensor)
    scheduler.submit(recorded_request([1], 30)[0])
    for turn in range(1, 6):
        loop.turn()
        assert sensor.looks == turn


def test_the_library_is_asked_while_there_is_nothing_to_do() -> None:
    sensor = Sensor()
    loop, scheduler = loop_over(sensor)
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        eventually(lambda: sensor.looks >= 2, "a second look")
    finally:
        scheduler.stop()
        thread.join()


def test_a_faulty_device_ends_the_loop_and_tells_who_waits() -> None:
    loop, scheduler = loop_over(Sensor(breaks_at=3))
    request, recorder = recorded_request([1], 30)
    scheduler.submit(request)
    with pytest.raises(DeviceError, match="device 7 reports a fault"):
        loop.run()
    (failed,) = recorder.of(Failed)
    assert "device 7 reports a fault" in str(failed.error)
    assert request.generated_tokens == 2
