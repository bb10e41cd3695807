"""What is asked: the words of the command line and what is piped into standard input."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from wizardtpu_client.cli.exit_code import UsageError


def question(words: Sequence[str]) -> str:
    """The piped text, a blank line and the words; either alone if there is no other.

    Raises UsageError if there is neither, or if the piped text is not UTF-8.
    """
    spoken = " ".join(words)
    piped = _piped()
    if piped.strip() and spoken:
        return piped.rstrip("\n") + "\n\n" + spoken
    if spoken:
        return spoken
    if piped.strip():
        return piped
    raise UsageError('nothing to ask: give an instruction, such as wizardtpu-client "write quicksort"')


def _piped() -> str:
    if sys.stdin.isatty():
        return ""
    data = sys.stdin.buffer.read()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"standard input is not UTF-8 text (byte {error.start} is 0x{data[error.start]:02x})"
        ) from None
