"""Builds that are killed and go on."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wizardtpu_compile.steps.record import RECORD_NAME
from wizardtpu_compile.targets.tpu.plan import MODEL_NAME

from tests.bench.compile.command import Command, CommandError, run
from tests.bench.compile.step_time import records, steps_of
from tests.bench.compile.wide_build import WideBuild, build_arguments
from tests.bench.progress import say

_LOOK_SECONDS = 0.01
_PIECE = 1 << 20  # bytes read at a time


@dataclass(frozen=True)
class Resumption:
    """A build that was killed once and then run again.

    Attributes:
        moment: when it was killed.
        killed_after: seconds.
        done: steps that were done by then.
        kept: those of them that were not done again.
        steps: of the whole build.
        seconds: of the second run.
        same: whether the file it made is, byte for byte, that of the uninterrupted build.
    """

    moment: str
    killed_after: float
    done: int
    kept: int
    steps: int
    seconds: float
    same: bool


@dataclass(frozen=True)
class _Moment:
    """When a step is begun, or done."""

    text: str
    step: str
    done: bool

    def has_come(self, output: Path) -> bool:
        directory = steps_of(output) / self.step
        return (directory / RECORD_NAME if self.done else directory).exists()


def measure_resumptions(build: WideBuild, checkpoint: Path, scratch: Path) -> Iterator[Resumption]:
    """Kills the same build at three moments, each time a new one, and runs it again.

    Raises:
        CommandError: a build failed.
    """
    for moment in (
        _Moment("after the first layer's weights", "block_0.weights", done=True),
        _Moment("within the second layer", f"block_1_b1_t1_s{build.context}", done=True),
        _Moment("while the output projection is compiled", "lm_head_b1", done=False),
    ):
        say(f"killing a build {moment.text}, and running it again")
        place = scratch / "killed"
        place.mkdir()
        yield _resume(moment, build, checkpoint, place / "bundle", scratch)
        shutil.rmtree(place)


def _resume(moment: _Moment, build: WideBuild, checkpoint: Path, output: Path, scratch: Path) -> Resumption:
    arguments = build_arguments(checkpoint, output, build.context)
    with Command(arguments, scratch) as command:
        while not moment.has_come(output):
            if command.ended():
                command.finish()
                raise CommandError(f"the build ended before it could be killed {moment.text}")
            time.sleep(_LOOK_SECONDS)
        command.kill()
        killed_after = command.seconds
    before = _versions(output)
    seconds = run(arguments, scratch).seconds
    after = _versions(output)
    return Resumption(
        moment=moment.text,
        killed_after=killed_after,
        done=len(before),
        kept=len(before & after),
        steps=len(after),
        seconds=seconds,
        same=_sha256(output / MODEL_NAME) == build.sha256,
    )


def _versions(output: Path) -> set[tuple[str, int]]:
    """Steps that are done, and when each of them was."""
    return {(path.parent.name, path.stat().st_mtime_ns) for path in records(output)}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
