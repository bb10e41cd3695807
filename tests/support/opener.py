"""Opening an engine as the thread of a device does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from wizardtpud.engine.engine import Engine

from tests.support.scripted_engine import ScriptedEngine


class Opener:
    """Opens an engine and notes in which threads it is opened and closed."""

    def __init__(self, engine: ScriptedEngine | None = None) -> None:
        self.engine = engine or ScriptedEngine()
        self.opened_in: int | None = None
        self.closed_in: int | None = None

    @contextmanager
    def __call__(self) -> Iterator[Engine]:
        self.opened_in = threading.get_ident()
        try:
            yield self.engine
        finally:
            self.closed_in = threading.get_ident()
