"""The directory in which steps leave their files and the records of what is done.

A step has the directory `steps/NAME`: its files, `log.txt`, and `done.json`, written last. After a step is done
others may discard its files, so these rules decide what is left to do (`Workspace.missing`):

1. A step has to be run if it has no readable record, or one of another digest. A digest covers those of all steps
   that are needed, so a change is followed by everything that depends on it.
2. A step whose files are gone, or not as long as its record says, has to be run again if a step that needs it has
   to be run. If none has, it stays done: what became of its files is in a later step's result.

So nothing has to be written down when files are discarded, and it does not matter how far that came before the
process was killed, nor who else deleted files.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections.abc import Collection
from pathlib import Path
from types import TracebackType

from wizardtpu_compile.disk import sync
from wizardtpu_compile.errors import OutputError
from wizardtpu_compile.steps.plan import Plan
from wizardtpu_compile.steps.record import LOG_NAME, RECORD_NAME, StepRecord
from wizardtpu_compile.steps.step import Step, StepDirectory

_STEPS = "steps"
_LOCK = "lock"


class Workspace:
    """A directory for one build at a time; enter it to lock it. The lock goes with the process.

    Files beside `steps` and `lock` are the caller's. If it is not `lasting`, no later build will find it.
    """

    def __init__(self, directory: Path, lasting: bool = True) -> None:
        self.directory = directory.absolute()
        self._lasting = lasting
        self._lock: int | None = None

    def __enter__(self) -> Workspace:
        """Locks it.

        Raises:
            OutputError: another process is building in it, or it holds something else.
        """
        _refuse_strangers(self.directory)
        (self.directory / _STEPS).mkdir(parents=True, exist_ok=True)
        self._lock = _lock(self.directory / _LOCK)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._lock is not None
        os.close(self._lock)
        self._lock = None

    def outlook(self, done: int, total: int) -> str:
        """What becomes of its files after a failure, for a person; so many steps are done."""
        if self._lasting:
            return f"{done} of {total} steps are done and kept: the same command goes on from there"
        return f"all files are left in {self.directory}: delete it in the end"

    def path(self, name: str) -> Path:
        """The directory of a step."""
        return self.directory / _STEPS / name

    def log(self, name: str) -> Path:
        """The log of a step."""
        return self.path(name) / LOG_NAME

    def record(self, name: str) -> StepRecord | None:
        """What is known of a step that is done."""
        return StepRecord.read(self.path(name))

    def forget(self, name: str) -> None:
        """Makes a step undone, for one whose result was outside its directory and is gone."""
        (self.path(name) / RECORD_NAME).unlink(missing_ok=True)

    def missing(self, plan: Plan) -> set[str]:
        """The steps that have to be run, by the rules above."""
        found: set[str] = set()
        for name in reversed(plan.steps):
            record = self.record(name)
            if record is None or record.digest != plan.digests[name]:
                found.add(name)
                continue
            needed = not found.isdisjoint(plan.dependents[name])
            if needed and not record.has_files(self.path(name)):
                found.add(name)
        return found

    def tidy(self, plan: Plan, missing: Collection[str]) -> None:
        """Frees what the disk holds for nothing: steps of other plans, unfinished ones, and discarded files."""
        for path in (self.directory / _STEPS).iterdir():
            if path.name not in plan.steps or path.name in missing:
                _remove(path)
        self.discard(plan, plan.steps.keys() - missing)

    def begin(self, step: Step, digest: str, cancelled: threading.Event) -> StepDirectory:
        """An empty directory for a step to run in."""
        path = self.path(step.name)
        _remove(path)
        path.mkdir(parents=True)
        self.log(step.name).touch()
        needed = {name: self.path(name) for name in step.needs}
        return StepDirectory(path, self.log(step.name), digest, cancelled, needed)

    def finish(self, name: str, record: StepRecord) -> None:
        """Makes a step done, for this run and later ones."""
        record.write(self.path(name))
        sync(self.directory / _STEPS)

    def discard(self, plan: Plan, done: Collection[str]) -> None:
        """Deletes files that nobody needs when these steps are done; logs and records stay."""
        for name in plan.discardable(done):
            for path in self.path(name).iterdir():
                if path.name not in {LOG_NAME, RECORD_NAME}:
                    _remove(path)


def _refuse_strangers(directory: Path) -> None:
    """Nothing is deleted in a directory that merely has the name of a workspace."""
    if not directory.is_dir() or (directory / _LOCK).is_file():
        return
    if others := [path.name for path in directory.iterdir() if path.name != _STEPS]:
        raise OutputError(
            f"{directory} is where the build would work, but it holds {min(others)}; "
            "move it away, or choose another output"
        )


def _remove(path: Path) -> None:
    """A record goes first, so that it never vouches for what is half deleted."""
    if path.is_dir() and not path.is_symlink():
        (path / RECORD_NAME).unlink(missing_ok=True)
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Since it was opened, the build that held it may have removed the whole directory.
        if not (path.exists() and os.path.samestat(os.fstat(descriptor), path.stat())):
            raise BlockingIOError
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "another one"
        os.close(descriptor)
        raise OutputError(
            f"{path.parent} is in use: process {holder} is building in it; wait until it ends, or end it"
        ) from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
