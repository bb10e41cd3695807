"""A process that logs what another one prints, to the last word: it reads its input until that process is gone.

python -m wizardtpud.observability.chatter_reader LEVEL STYLE
"""

from __future__ import annotations

import sys
from typing import BinaryIO

from wizardtpud.observability import logging
from wizardtpud.observability.chatter import Chatter

_LONGEST = 4096  # bytes of a line; what is longer counts as several


def read(printed: BinaryIO) -> None:
    """Logs all lines up to the end."""
    chatter = Chatter()
    while line := printed.readline(_LONGEST):
        text = line.decode(errors="replace").strip()
        if text:
            chatter.take(text)
    chatter.flush()


if __name__ == "__main__":
    logging.configure(sys.argv[1], "json" if sys.argv[2] == "json" else "text")
    read(sys.stdin.buffer)
