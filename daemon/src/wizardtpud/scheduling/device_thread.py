"""The one thread that touches a device, from opening it to closing it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack

from wizardtpud.engine.engine import Engine
from wizardtpud.errors import StoppedError
from wizardtpud.scheduling.decode_loop import DecodeLoop
from wizardtpud.scheduling.device_watch import NO_LIMITS, DeviceWatch, TimeLimits
from wizardtpud.scheduling.scheduler import Scheduler


class DeviceThread:
    """Opens an engine, serves with it, and closes it, all in one thread of its own.

    Attributes:
        watch: of its work on the device.
        loaded: done when the engine is open; never, if it cannot be opened.
        ended: done when the engine is closed; holds the error that ended it, or kept it from opening,
            unless that was the StoppedError of one that is not wanted any more.
    """

    def __init__(
        self,
        name: str,
        open_engine: Callable[[], AbstractContextManager[Engine]],
        scheduler: Scheduler,
        limits: TimeLimits = NO_LIMITS,
    ) -> None:
        self.watch = DeviceWatch(name, limits)
        self._open_engine = open_engine
        self._scheduler = scheduler
        self.loaded: Future[None] = Future()
        self.ended: Future[None] = Future()
        # Not a daemon thread: vendor libraries bring the process down when it exits with a device still open.
        self._thread = threading.Thread(target=self._run, name=name)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        try:
            self._serve()
        except StoppedError:
            self.ended.set_result(None)
        except BaseException as error:  # whoever waits for this thread gets it
            self.ended.set_exception(error)
        else:
            self.ended.set_result(None)

    def _serve(self) -> None:
        with ExitStack() as opened:
            with self.watch.load():
                engine = opened.enter_context(self._open_engine())
            try:
                loop = DecodeLoop(engine, self._scheduler, self.watch)
                loop.look_after_devices()
                self.loaded.set_result(None)
                loop.run()
            finally:
                with self.watch.load():
                    opened.close()
