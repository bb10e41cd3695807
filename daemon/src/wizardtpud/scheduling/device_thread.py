"""The one thread that touches a device, from opening it to closing it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager

from wizardtpud.engine.engine import Engine
from wizardtpud.errors import StoppedError
from wizardtpud.scheduling.decode_loop import DecodeLoop
from wizardtpud.scheduling.scheduler import Scheduler
from wizardtpud.scheduling.step_watch import StepWatch


class DeviceThread:
    """Opens an engine, serves with it, and closes it, all in one thread of its own.

    Attributes:
        watch: of the engine's steps.
        loaded: done when the engine is open; never, if it cannot be opened.
        ended: done when the engine is closed; holds the error that ended it, or kept it from opening,
            unless that was the StoppedError of one that is not wanted any more.
    """

    def __init__(
        self, name: str, open_engine: Callable[[], AbstractContextManager[Engine]], scheduler: Scheduler
    ) -> None:
        self.watch = StepWatch(name)
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
            with self._open_engine() as engine:
                self.loaded.set_result(None)
                DecodeLoop(engine, self._scheduler, self.watch).run()
        except StoppedError:
            self.ended.set_result(None)
        except BaseException as error:  # whoever waits for this thread gets it
            self.ended.set_exception(error)
        else:
            self.ended.set_result(None)
