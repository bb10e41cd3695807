"""The vendor's libraries, with their calls counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from wizardtpud.device.bmrt import BmrtLibrary
from wizardtpud.device.bmrt.structures import Memory


class LibraryCalls:
    """How often the functions were called, and for those that copy, with how many bytes."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.copied: Counter[str] = Counter()

    def counting(self, library: BmrtLibrary) -> BmrtLibrary:
        """The library, every call of which is counted here."""
        return replace(library, bmlib=_Counted(library.bmlib, self), bmrt=_Counted(library.bmrt, self))

    def forget(self) -> None:
        """Begins again."""
        self.calls.clear()
        self.copied.clear()


class _Counted:
    """Passes calls on."""

    def __init__(self, library: Any, counts: LibraryCalls) -> None:
        self._library = library
        self._counts = counts

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._library, name)

        def call(*arguments: Any) -> Any:
            self._counts.calls[name] += 1
            if "memcpy" in name:  # all the memory that is named is copied, or copied to
                self._counts.copied[name] += next(each.size for each in arguments if isinstance(each, Memory))
            return function(*arguments)

        return call
