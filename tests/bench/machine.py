"""The machine that measured, and the software on it."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

_OURS = ("wizardtpud", "onnxruntime", "numpy", "grpcio", "protobuf", "tokenizers")


@dataclass(frozen=True)
class Machine:
    """What a reader must know to compare the numbers with others.

    Attributes:
        cores: that this process may use.
        memory: bytes.
        load: processes that wanted a core, on average over the minute before the run.
        versions: of the libraries that run the model and the wire.
    """

    processor: str
    cores: int
    memory: int
    system: str
    python: str
    load: float
    versions: dict[str, str]

    @classmethod
    def this(cls) -> Machine:
        return cls(
            processor=_processor(),
            cores=len(os.sched_getaffinity(0)),
            memory=psutil.virtual_memory().total,
            system=f"{platform.system()} {'.'.join(platform.release().split('.')[:2])} {platform.machine()}",
            python=platform.python_version(),
            load=os.getloadavg()[0],
            versions={name: version(name) for name in _OURS},
        )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
