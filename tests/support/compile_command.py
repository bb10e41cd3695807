"""`wizardtpu-compile` as a process of its own, and what is left of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

TIMEOUT = 300.0  # seconds: a build that takes longer hangs


def command_line(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "wizardtpu_compile", *map(str, arguments)]


def run_command(
    *arguments: str | Path, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs it to its end; `variables` are added to the environment."""
    return subprocess.run(
        command_line(*arguments),
        env={**os.environ, **(variables or {})},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


@contextmanager
def running_command(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Runs it until the block ends, if it does not end before."""
    with subprocess.Popen(
        command_line(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def started_by(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """All it has started and that still runs; they may be in sessions of their own."""
    return psutil.Process(process.pid).children(recursive=True)


def is_gone(process: psutil.Process) -> bool:
    """Whether it has ended, though perhaps nobody has asked how."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def freeze(process: subprocess.Popen[str]) -> None:
    """Stops it, so that what is seen of it stays true until it is killed."""
    process.send_signal(signal.SIGSTOP)
