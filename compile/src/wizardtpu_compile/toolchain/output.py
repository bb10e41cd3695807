"""What the vendor's programs leave behind: what they said, and how many cycles they count."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from wizardtpu_compile.toolchain import host

_PROFILES = "compiler_profile_*.txt"  # one for each device
_CYCLES = re.compile(r"^TCYC : (\d+)", re.MULTILINE)
# Empty lines, backtraces, progress bars, accounts of what went well, and complaints that mean nothing.
_NOISE = re.compile(
    r"\s*$|\s*#\d+ 0x|Stack dump|\d+\.\t|PLEASE submit|\s*\[[# ]*\]|bmcpu init|.*libusercpu|The dir path of"
    r"|\[Success\]|\[Running\]|.*\b(INFO|WARNING)\b"
)
_LINES_TOLD = 8


def cause(code: int, log: Path) -> str:
    """Why a program failed: how it ended or what this machine lacks, and the end of what it said."""
    how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    lacks = host.missing()
    lines = _read(log).replace("\r", "\n").splitlines()
    said = [line.rstrip()[:300] for line in lines if not _NOISE.match(line)]
    return "\n  ".join([f"{host.describe(lacks)} ({how})" if lacks else how, *said[-_LINES_TOLD:]])


def cycles(directory: Path) -> int:
    """Of the network compiled in a directory, on the slowest device; 0 if the compiler made no estimate."""
    profiles = directory.glob(_PROFILES)
    return max((sum(map(int, _CYCLES.findall(_read(profile)))) for profile in profiles), default=0)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
