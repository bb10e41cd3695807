"""How long the steps of a build took, by the records that it leaves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wizardtpu_compile.steps.record import RECORD_NAME, StepRecord

_GROUP = re.compile(r"block_\d+|embedding|[a-z]+_head")


@dataclass(frozen=True)
class StepTime:
    """A step that is done.

    Attributes:
        began: seconds since the epoch.
        seconds: how long it took.
        peak_memory: bytes of the program it ran; 0 if it ran in the process of the command.
        files: bytes that it left for other steps.
    """

    name: str
    began: float
    seconds: float
    peak_memory: int
    files: int

    @property
    def group(self) -> str:
        """The part of the model that it is for: "block_0", "embedding", "lm_head", "greedy_head"."""
        found = _GROUP.match(self.name)
        assert found, self.name
        return found[0]

    @property
    def is_layer(self) -> bool:
        return self.group.startswith("block_")

    @property
    def ended(self) -> float:
        return self.began + self.seconds


def step_times(output: Path) -> list[StepTime]:
    """Of the build that made `output`."""
    return [_read(path) for path in sorted(records(output))]


def records(output: Path) -> list[Path]:
    """The files that say that a step is done."""
    return list(steps_of(output).glob(f"*/{RECORD_NAME}"))


def steps_of(output: Path) -> Path:
    """The directory that has one for each step."""
    return output.with_name(f"{output.name}.build") / "steps"


def work(steps: Sequence[StepTime]) -> float:
    """Seconds of all of them together."""
    return sum(step.seconds for step in steps)


def span(steps: Sequence[StepTime]) -> float:
    """Seconds from the beginning of the first to the end of the last."""
    return max(step.ended for step in steps) - min(step.began for step in steps)


def _read(path: Path) -> StepTime:
    record = StepRecord.read(path.parent)
    assert record is not None, path
    began = path.stat().st_mtime - record.seconds
    return StepTime(path.parent.name, began, record.seconds, record.peak_memory or 0, sum(record.files.values()))
