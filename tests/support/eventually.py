"""Waiting for something to become true, without a guess at how long that takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 30.0  # seconds: far more than anything waited for takes on a busy machine
_PAUSE = 0.01


def eventually(probe: Callable[[], T | None], what: str) -> T:
    """The first true value of `probe`.

    Raises:
        AssertionError: there was none in good time; the message names `what` and the last value.
    """
    deadline = time.monotonic() + PATIENCE
    while not (value := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"in {PATIENCE:g} s there was never {what}; last seen: {value!r}")
        time.sleep(_PAUSE)
    return value
