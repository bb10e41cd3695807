"""Standard input and output, whatever the command was started with."""

from __future__ import annotations

import io
import os
import sys


def prepare_streams() -> None:
    """Puts the null device in place of a stream that was closed, and settles what odd characters do."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115, PTH123
    if isinstance(sys.stdin, io.TextIOWrapper):  # in some locales, bytes that are no text would slip through
        sys.stdin.reconfigure(errors="strict")
    if isinstance(sys.stdout, io.TextIOWrapper):  # an answer may hold what the terminal's encoding cannot
        sys.stdout.reconfigure(errors="backslashreplace")


def abandon_stdout() -> None:
    """Gives the interpreter's last flush somewhere to go, so that it does not complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
