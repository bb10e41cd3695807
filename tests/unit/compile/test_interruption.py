"""Ctrl-C while libraries are being loaded, in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys

PROGRAM = """
import signal
from wizardtpu_compile.interruption import ends_at_once
{before}
with ends_at_once():
    signal.raise_signal(signal.SIGINT)
print("goes on")
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("as usual")
"""


def outcome(before: str = "", program: str = PROGRAM) -> tuple[int, str, str]:
    command = [sys.executable, "-c", program.format(before=before)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return done.returncode, done.stdout, done.stderr


def test_it_ends_without_a_word() -> None:
    assert outcome() == (-signal.SIGINT, "", "")


def test_afterwards_it_is_an_exception_again() -> None:
    harmless = PROGRAM.replace("    signal.raise_signal", "    pass  # signal.raise_signal", 1)
    assert outcome(program=harmless) == (0, "goes on\nas usual\n", "")


def test_who_ignores_it_is_not_ended() -> None:
    assert outcome(before="signal.signal(signal.SIGINT, signal.SIG_IGN)") == (0, "goes on\n", "")
