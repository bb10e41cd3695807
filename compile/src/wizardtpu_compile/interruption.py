"""How the command ends when it is told to."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ends_at_once() -> Iterator[None]:
    """Within the block Ctrl-C just ends the process: libraries that are being loaded make tracebacks of it."""
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.default_int_handler:  # else someone has decided that it be ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


def clean_up_when_ended() -> None:
    """From now on SIGTERM and SIGHUP, unless they are ignored, end the process as Ctrl-C does: it cleans up."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)  # as the shell has it for a process that the signal ended
