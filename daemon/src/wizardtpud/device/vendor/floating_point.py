"""Guards this process's arithmetic against libraries that change it."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

_SIZE = 256
"""Bytes; more than an fenv_t takes on any machine."""


@contextmanager
def kept_arithmetic() -> Iterator[None]:
    """Restores how this thread computes with floating point numbers when the block ends.

    Loading the vendor's libraries would otherwise turn the smallest numbers (below 1e-38 in float32) into zero.
    """
    library = ctypes.CDLL(None)  # what is in the process already, the C library's <fenv.h> among it
    state = ctypes.create_string_buffer(_SIZE)
    saved = library.fegetenv(state) == 0
    try:
        yield
    finally:
        if saved:
            library.fesetenv(state)
