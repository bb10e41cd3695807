"""The end of the process, as far as a test can go on after it."""

from __future__ import annotations


class Crash(BaseException):
    """Here the original ends the process, or uses memory that is no longer its own."""
