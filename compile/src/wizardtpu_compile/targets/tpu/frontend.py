"""What turns networks into bmodels, each of one network."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from wizardtpu_compile.steps.step import Step
from wizardtpu_compile.targets.tpu.plan import TpuNetwork

MODEL = "net.bmodel"
"""What the step of a network leaves in its directory."""
CYCLES = "cycles"
"""What its report has the compiler's estimate under."""
MB = 1_000_000


class Frontend(ABC):
    """Makes the steps from a network's description to bmodels."""

    @abstractmethod
    def steps(self, shapes: Sequence[TpuNetwork]) -> Iterator[Step]:
        """Steps for all shapes of a network, among them one of each shape's own name that leaves `MODEL`."""


def digest(*parts: str) -> str:
    """sha256 of what decides the result of a step."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
