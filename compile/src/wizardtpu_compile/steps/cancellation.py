"""How a thread is told that the build is interrupted."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Iterable

_PATIENCE = 0.5  # seconds, twice: an interrupted build is gone after one


class Cancelled(BaseException):
    """Raised within a step when the build is interrupted; passes all that handles errors."""


def cancel(threads: Iterable[threading.Thread], cancelled: threading.Event) -> None:
    """Ends the threads of steps: what waits for a program notices by itself, other Python code is made to raise.

    A thread that is within a long call of native code even then is left alone: it is a daemon, and nobody looks at
    what it still does.
    """
    cancelled.set()
    alive = _join(threads)
    for thread in alive:
        _raise_in(thread)
    _join(alive)


def _join(threads: Iterable[threading.Thread]) -> list[threading.Thread]:
    deadline = time.monotonic() + _PATIENCE
    for thread in (waited := list(threads)):
        thread.join(max(0.0, deadline - time.monotonic()))
    return [thread for thread in waited if thread.is_alive()]


def _raise_in(thread: threading.Thread) -> None:
    assert thread.ident is not None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Cancelled))
