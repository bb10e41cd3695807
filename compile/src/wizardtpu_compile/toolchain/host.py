"""What the machine must have for the toolchain to run."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass

_GLIBC = (2, 34)  # the newest symbol version the vendor's programs ask for
# A network's attention kernel is translated to C while the network is compiled; these make a library of it.
_PROGRAMS = {"cmake": "cmake", "make": "make", "cc": "gcc", "c++": "g++"}


@dataclass(frozen=True)
class Missing:
    """Something the host lacks, and what brings it."""

    what: str
    cure: str


def missing() -> list[Missing]:
    """What this machine lacks of what compiling and simulating need; empty if it has everything."""
    return [*_missing_platform(), *_missing_programs()]


def describe(lacks: list[Missing]) -> str:
    """One line: what is missing, and how to get it."""
    return "; ".join(f"this machine lacks {lack.what}: {lack.cure}" for lack in lacks)


def _missing_platform() -> list[Missing]:
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return [
            Missing("Linux on x86-64", "the toolchain is made for that alone; bundles can be carried elsewhere")
        ]
    if _glibc() < _GLIBC:
        needed = ".".join(map(str, _GLIBC))
        return [Missing(f"glibc {needed}", "use Debian 12, Ubuntu 22.04, RHEL 9 or newer")]
    return []


def _glibc() -> tuple[int, ...]:
    """The version of this process's C library; (0,) if it is another kind."""
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (OSError, ValueError):
        return (0,)
    return tuple(map(int, version.split("."))) if name == "glibc" else (0,)


def _missing_programs() -> list[Missing]:
    absent = [program for program in _PROGRAMS if shutil.which(program) is None]
    if not absent:
        return []
    packages = " ".join(_PROGRAMS[program] for program in absent)
    return [Missing(", ".join(absent), f"apt install {packages}")]
