"""How functions of the vendor's C libraries are declared."""

from __future__ import annotations

from collections.abc import Mapping
from ctypes import c_int
from dataclasses import dataclass
from typing import Any

from wizardtpud.errors import DeviceError

_STATUSES = (
    "success",
    "the device is not ready",
    "it failed",
    "it timed out",
    "a wrong parameter",
    "out of memory",
    "a data error",
    "the device is busy",
    "not supported",
    "not supported",
)
"""What the values of bm_status_t mean."""


@dataclass(frozen=True)
class Declaration:
    """Types of a function's arguments and of its result, and whether that is a bm_status_t."""

    arguments: tuple[Any, ...]
    result: Any = c_int
    checked: bool = True


def plain(result: Any, *arguments: Any) -> Declaration:
    """Of a function that gives what it is called for, or nothing."""
    return Declaration(arguments, result, checked=False)


def status(*arguments: Any) -> Declaration:
    """Of a function that gives a status: one that is no success is raised as a DeviceError."""
    return Declaration(arguments)


def declare(library: Any, functions: Mapping[str, Declaration]) -> None:
    """Declares functions of a library.

    Raises:
        AttributeError: it has no such function.
    """
    for name, declaration in functions.items():
        function = getattr(library, name)
        function.argtypes, function.restype = declaration.arguments, declaration.result
        if declaration.checked:
            function.errcheck = _check


def _check(status: int, function: Any, _: tuple[Any, ...]) -> int:
    """Turns the status of a call into an error; ctypes calls this after every function that gives one."""
    if status == 0:
        return status
    meaning = _STATUSES[status] if 0 < status < len(_STATUSES) else f"status {status}"
    raise DeviceError(f"{function.__name__}: {meaning}")
