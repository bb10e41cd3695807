"""What turns networks into bmodels, each of one network."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from wizardtpu_compile.frontend.onnx_frontend import BMODEL_NAME
from wizardtpu_compile.steps.step import Step
from wizardtpu_compile.targets.tpu.plan import TpuNetwork

MODEL = BMODEL_NAME
"""What the step of a network leaves in its directory."""
CYCLES = "cycles"
"""What its report has the compiler's estimate under."""
MB = 1_000_000


class Frontend(ABC):
    """Makes the steps from a network's description to bmodels."""

    @abstractmethod
    def steps(self, shapes: Sequence[TpuNetwork]) -> Iterator[Step]:
        """Steps for all shapes of a network, among them one of each shape's own name that leaves `MODEL`."""


def compiling_memory(stored: int) -> int:
    """About how many bytes the compiler takes for a network whose weights are `stored` bytes, as measured."""
    return 200 * MB + 4 * stored


def compiling_seconds(stored: int) -> float:
    """About how long it takes, as measured on a quiet machine."""
    return 0.5 + stored / (60 * MB)


def digest(*parts: str) -> str:
    """sha256 of what decides the result of a step."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
