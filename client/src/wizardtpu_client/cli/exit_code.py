"""What the command's exit code tells."""

from __future__ import annotations

from enum import IntEnum

from wizardtpu_client.errors import (
    Busy,
    Cancelled,
    ConnectionFailed,
    DeadlineExceeded,
    InvalidRequest,
    Unsupported,
    WizardTPUError,
)


class ExitCode(IntEnum):
    """124, 130 and 141 are what timeout(1) and the shell use for the same events."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NO_CONNECTION = 3
    REFUSED = 4
    BUSY = 5
    TIMEOUT = 124
    INTERRUPTED = 130
    BROKEN_PIPE = 141


class UsageError(Exception):
    """The command line or standard input cannot be used; the message says why and what to do."""


_CODES: dict[type[WizardTPUError], ExitCode] = {
    ConnectionFailed: ExitCode.NO_CONNECTION,
    InvalidRequest: ExitCode.REFUSED,
    Unsupported: ExitCode.REFUSED,
    Busy: ExitCode.BUSY,
    DeadlineExceeded: ExitCode.TIMEOUT,
    Cancelled: ExitCode.INTERRUPTED,
}


def exit_code_of(error: WizardTPUError) -> ExitCode:
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), ExitCode.FAILED)
