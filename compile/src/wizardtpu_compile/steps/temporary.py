"""A workspace for steps whose results are told, not kept."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wizardtpu_compile.errors import StepError
from wizardtpu_compile.steps.workspace import Workspace

_ATTEMPTS, _PAUSE = 40, 0.05  # two seconds in all


@contextmanager
def temporary_workspace(prefix: str) -> Iterator[Workspace]:
    """One in a temporary directory, which stays if a step fails: the error names files and a command in it."""
    directory = Path(tempfile.mkdtemp(prefix=prefix))
    kept = False
    try:
        with Workspace(directory, lasting=False) as workspace:
            yield workspace
    except StepError:
        kept = True
        raise
    finally:
        if not kept:
            _remove(directory)


def _remove(directory: Path) -> None:
    """An interrupted step may be deep in native code, and write or delete for a moment still."""
    for _ in range(_ATTEMPTS):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        time.sleep(_PAUSE)
