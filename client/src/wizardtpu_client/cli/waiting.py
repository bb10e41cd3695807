"""Tells a person on standard error that the request waits, and where in the queue it is."""

from __future__ import annotations

import shutil
import threading
from types import TracebackType
from typing import TextIO

from wizardtpu_client.cli.printer import visible
from wizardtpu_client.errors import WizardTPUError
from wizardtpu_client.events import Queued

PATIENCE = 0.5
"""Seconds of waiting that need no word."""


class Waiting:
    """One line that is rewritten in place on a terminal; elsewhere a new line for each change."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._rewrite = stream.isatty()
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._text = ""
        self._shown = ""

    def queued(self, event: Queued) -> None:
        wait = "" if event.estimated_wait is None else f", about {_duration(event.estimated_wait)} to wait"
        self._update(f"waiting: number {event.position} in the queue{wait}")

    def before_retry(self, failure: WizardTPUError, wait: float) -> None:
        self._update(f"trying again in {_duration(wait)}: {failure.message}")

    def over(self) -> None:
        """Takes the line away."""
        with self._lock:
            if self._timer:
                self._timer.cancel()
            if self._shown and self._rewrite:
                self._write("\r\x1b[K")
            self._timer = None
            self._text = self._shown = ""

    def __enter__(self) -> Waiting:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over()

    def _update(self, text: str) -> None:
        with self._lock:
            self._text = visible(text).replace("\n", " ")
            if self._shown:
                self._show()
            elif not self._timer:
                self._timer = threading.Timer(PATIENCE, self._late)
                self._timer.daemon = True
                self._timer.start()

    def _late(self) -> None:
        with self._lock:
            self._show()

    def _show(self) -> None:
        if self._text == self._shown:
            return
        self._shown = self._text
        if self._rewrite:
            width = shutil.get_terminal_size().columns - 1  # a line that wraps could not be taken back
            self._write(f"\r{self._text[:width]}\x1b[K")
        else:
            self._write(f"{self._text}\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
