"""The engines of the daemon: one for each group of devices."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from wizardtpud.engine import Engine, make_engine
from wizardtpud.model import loading
from wizardtpud.model.bundle import Bundle
from wizardtpud.scheduling.device_thread import DeviceThread
from wizardtpud.scheduling.scheduler import Scheduler
from wizardtpud.service.configuration import Configuration
from wizardtpud.service.progress_log import ProgressLog


class Engines:
    """Opens an engine for each group, serves with it and closes it, in a thread for each.

    Attributes:
        loaded: done when all are open; never, if one cannot be opened.
        ended: for each, done when it is closed; holds the error that ended it, or kept it from opening.
    """

    def __init__(self, configuration: Configuration, bundle: Bundle, scheduler: Scheduler) -> None:
        self._configuration = configuration
        self._bundle = bundle
        self._scheduler = scheduler
        groups = configuration.devices
        self._threads = [DeviceThread(partial(self._open, group), scheduler) for group in groups]
        self.loaded = asyncio.gather(*(asyncio.wrap_future(thread.loaded) for thread in self._threads))
        self.ended = [asyncio.wrap_future(thread.ended) for thread in self._threads]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    @contextmanager
    def _open(self, devices: Sequence[int]) -> Iterator[Engine]:
        """Runs in the devices' thread, which also closes what it opens."""
        log_progress = ProgressLog("loading the model", devices=",".join(map(str, devices)))

        def on_progress(done: int, total: int) -> None:
            log_progress(done, total)
            self._scheduler.check_wanted()

        device, library = self._configuration.device, self._configuration.library
        runtime = loading.load(
            self._bundle, device, self._cpu_threads, on_progress, library=library, devices=devices
        )
        with runtime:
            yield make_engine(self._bundle.manifest, runtime, self._configuration.slots)

    @property
    def _cpu_threads(self) -> int:
        """Of each engine: they share the cores."""
        threads = self._configuration.threads or len(os.sched_getaffinity(0))
        return max(1, threads // len(self._threads))
