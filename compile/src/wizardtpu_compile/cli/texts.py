"""What the commands say in the same words."""

from __future__ import annotations

import argparse

EXIT_CODES = """exit codes:
  0    done
  1    the checkpoint, the bundle, the toolchain or the disk is not as it must be
  2    an option is wrong, or does not fit the checkpoint
  130  interrupted; a build for the CPU leaves nothing, one for bm1684x goes on where it stopped when run again
  141  standard output was closed by its reader
  143  ended by SIGTERM, otherwise as 130 (129: by SIGHUP)
"""


class Help(argparse.RawDescriptionHelpFormatter):
    """Descriptions as they are written."""


def numbers(text: str) -> tuple[int, ...]:
    """An option's list of numbers, such as 8,64,256."""
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers such as 8,64,256") from None
