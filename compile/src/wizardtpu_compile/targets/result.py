"""What a build has made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wizardtpud.model.manifest import Manifest


@dataclass(frozen=True)
class BuildResult:
    """What was built.

    Attributes:
        directory: the bundle.
        manifest: as written.
        similarity: network -> lowest cosine between its outputs and the float reference's, for those compared.
        seconds: wall-clock time of the build, without that of earlier runs it went on from.
        peak_memory: bytes of the largest process of any step, where steps are processes of their own.
    """

    directory: Path
    manifest: Manifest
    similarity: dict[str, float]
    seconds: float
    peak_memory: int | None = None
