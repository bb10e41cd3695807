"""Takes what libraries print to stdout into the log."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Literal

_STDIN, _STDOUT = 0, 1
_LINE_BUFFERED = 1  # _IOLBF of glibc and of musl
_READER = "wizardtpud.observability.chatter_reader"


def capture_stdout(level: str, style: Literal["text", "json"]) -> None:
    """Has everything that this process prints from now on logged, until it ends.

    Libraries print why they end the process, and then end it. So what logs their output is another process: it
    ends when this one has, however that comes, and the signals that end this one do not reach it.

    Args:
        level: the least important records to write.
        style: how to write a record.
    """
    source, target = os.pipe()
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", "-m", _READER, level, style],  # nothing of the working directory is imported
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, source, _STDIN),
            (os.POSIX_SPAWN_OPEN, _STDOUT, os.devnull, os.O_WRONLY, 0),
        ],
        setsigmask=[signal.SIGINT, signal.SIGTERM],
    )
    os.close(source)
    os.dup2(target, _STDOUT, inheritable=False)
    os.close(target)
    _buffer_lines()


def _buffer_lines() -> None:
    """Has the C library pass on each line as it is printed: what is buffered is lost when the process dies."""
    library = ctypes.CDLL(None)
    library.setvbuf(ctypes.c_void_p.in_dll(library, "stdout"), None, _LINE_BUFFERED, ctypes.c_size_t(0))
