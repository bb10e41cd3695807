"""An open device."""

from __future__ import annotations

from ctypes import c_void_p
from weakref import finalize

from .simulator import LIBRARY, require_device


class Handle:
    """Closed when nothing refers to it, but not when the interpreter exits."""

    def __init__(self, tpu_id: int) -> None:
        require_device(tpu_id)
        self.pointer = c_void_p()
        LIBRARY.bmlib.bm_dev_request(self.pointer, 0)
        finalize(self, LIBRARY.bmlib.bm_dev_free, self.pointer).atexit = False
