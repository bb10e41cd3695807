"""The engines of the daemon: one for each group of devices."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any

from wizardtpud.device.lock import lock_device
from wizardtpud.device.telemetry import DeviceReading, Telemetry
from wizardtpud.engine import Engine, make_engine
from wizardtpud.errors import DeviceHungError
from wizardtpud.model import loading
from wizardtpud.model.bundle import Bundle
from wizardtpud.observability.logging import log
from wizardtpud.scheduling.device_thread import DeviceThread
from wizardtpud.scheduling.device_watch import HangAlarm, TimeLimits
from wizardtpud.scheduling.scheduler import Scheduler
from wizardtpud.service.configuration import Configuration
from wizardtpud.service.progress_log import ProgressLog


class Engines:
    """Opens an engine for each group, serves with it and closes it, in a thread for each.

    When one hangs, whoever waits for an answer is told so.

    Attributes:
        loaded: done when all are open; never, if one cannot be opened.
        endings: one is done when the first engine ends or hangs.
        over: done when all are closed, or one hangs; holds the error that this is due to, if it is.
    """

    def __init__(self, configuration: Configuration, bundle: Bundle, scheduler: Scheduler) -> None:
        self._configuration = configuration
        self._bundle = bundle
        self._scheduler = scheduler
        self._telemetry: list[Telemetry] = []
        groups = configuration.devices
        limits = TimeLimits(step=configuration.step_seconds, load=configuration.load_seconds)
        self._threads = [
            DeviceThread(_name(group), partial(self._open, group), scheduler, limits) for group in groups
        ]
        self._ended = [asyncio.wrap_future(thread.ended) for thread in self._threads]
        self._hung = self._alarm()
        self.loaded = asyncio.gather(*(asyncio.wrap_future(thread.loaded) for thread in self._threads))
        self.endings = [*self._ended, self._hung]
        self.over = asyncio.ensure_future(self._come_to_an_end())

    def claim(self) -> None:
        """Decides what runs the model, and takes the devices for this process alone, until it ends.

        Raises:
            BundleError: the bundle is for another device than the one asked for, or another number of them.
            DeviceError: there is no device for it, or another process has it.
        """
        wanted, library = self._configuration.device, self._configuration.library
        choice = loading.choose_device(self._bundle, None if wanted == "auto" else wanted, library)
        self._choice = choice
        for group in self._configuration.devices:
            loading.check_number(self._bundle, group)
        for number in sorted(chain.from_iterable(self._configuration.devices)) if choice.owned else ():
            lock_device(self._configuration.lock_directory, number, str(self._bundle.directory.absolute()))

    def readings(self) -> list[DeviceReading]:
        """What is known of the devices that are open."""
        return sorted((telemetry.read() for telemetry in self._telemetry), key=lambda reading: reading.device)

    def start(self) -> None:
        log.info("device", kind=self._choice.kind, because=self._choice.reason)
        for thread in self._threads:
            thread.start()

    def _alarm(self) -> asyncio.Future[None]:
        alarm = HangAlarm(thread.watch for thread in self._threads)
        alarm.raised.add_done_callback(self._on_hang)
        return alarm.raised

    def _on_hang(self, raised: asyncio.Future[None]) -> None:
        error = raised.exception()
        assert isinstance(error, DeviceHungError)
        log.error("the device hangs", error=error)
        self._scheduler.fail(error)

    async def _come_to_an_end(self) -> None:
        closed: asyncio.Future[Any] = asyncio.gather(*self._ended, return_exceptions=True)
        await asyncio.wait([closed, self._hung], return_when=asyncio.FIRST_COMPLETED)
        for ending in (self._hung, *self._ended):
            if ending.done():
                ending.result()

    @contextmanager
    def _open(self, devices: Sequence[int]) -> Iterator[Engine]:
        """Runs in the devices' thread, which also closes what it opens."""
        log_progress = ProgressLog("loading the model", place=_name(devices))

        def on_progress(done: int, total: int) -> None:
            log_progress(done, total)
            self._scheduler.check_wanted()

        library = self._configuration.library
        runtime = loading.load(
            self._bundle, self._choice.kind, self._cpu_threads, on_progress, library=library, devices=devices
        )
        with runtime:
            self._telemetry.extend(runtime.telemetry)
            yield make_engine(self._bundle.manifest, runtime, self._configuration.slots)

    @property
    def _cpu_threads(self) -> int:
        """Of each engine: they share the cores."""
        threads = self._configuration.threads or len(os.sched_getaffinity(0))
        return max(1, threads // len(self._threads))


def _name(devices: Sequence[int]) -> str:
    return f"device {' and '.join(map(str, devices))}"
