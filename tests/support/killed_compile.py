"""`wizardtpu-compile` that is killed at a certain place.

    python -m tests.support.killed_compile MODULE:NAME ARGUMENT...

It kills itself as soon as the function, or the method if NAME is CLASS.NAME, is called.
"""

from __future__ import annotations

import importlib
import operator
import os
import signal
import sys

from wizardtpu_compile.cli.main import main


def _kill(*_arguments: object, **_keywords: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _replace(place: str) -> None:
    module, _, name = place.partition(":")
    owner: object = importlib.import_module(module)
    *outer, attribute = name.split(".")
    if outer:
        owner = operator.attrgetter(".".join(outer))(owner)
    getattr(owner, attribute)  # a name that is not there would never be called
    setattr(owner, attribute, _kill)


if __name__ == "__main__":
    _replace(sys.argv.pop(1))
    main()
