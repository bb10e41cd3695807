"""The other side of the process that the vendor's runtime lives in."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from wizardtpud.device.choice import DeviceKind
from wizardtpud.device.vendor.simulator import SIMULATOR_NAME

from wizardtpu_compile.errors import VerificationError
from wizardtpu_compile.simulation.job import JOB_NAME, GreedyJob, Job, NetworkJob
from wizardtpu_compile.steps.process import run_logged

Arrays = Mapping[str, Any]
"""numpy arrays by name."""

_LAST_LINES = 10


class Simulator:
    """Runs networks with the vendor's runtime in `library`: the simulator's, or a device's own."""

    def __init__(self, library: Path) -> None:
        self._library = library.absolute()  # the process works in a directory of its own

    @property
    def is_simulated(self) -> bool:
        """Whether the library drives the simulator, not a device."""
        return (self._library / SIMULATOR_NAME).exists()

    def run_networks(
        self, model: Path, runs: Sequence[tuple[str, Arrays]], cancelled: threading.Event | None = None
    ) -> list[dict[str, NDArray[Any]]]:
        """The outputs of networks of a bmodel, floats as float32, for each run: a network and its inputs by name.

        Raises:
            VerificationError: the runtime refused a network or ended.
            Cancelled: `cancelled` was set; the runtime's process is killed.
        """
        with _directory() as directory:
            files = [(directory / f"{i}.in.npz", directory / f"{i}.out.npz") for i in range(len(runs))]
            for (_, inputs), (source, _) in zip(runs, files, strict=True):
                np.savez(source, **inputs)
            named = [(name, str(a), str(b)) for (name, _), (a, b) in zip(runs, files, strict=True)]
            job = NetworkJob(str(model.absolute()), str(self._library), named)
            _run(directory, job, cancelled)
            return [_load(target) for _, target in files]

    def continue_greedily(
        self, bundle: Path, device: DeviceKind, prompts: Sequence[Sequence[int]], tokens: int
    ) -> list[list[int]]:
        """The token ids that the daemon's engine adds to each prompt, at most `tokens`.

        Raises:
            VerificationError: the runtime refused the bundle or ended.
        """
        with _directory() as directory:
            answers = directory / "answers.json"
            ids = [list(prompt) for prompt in prompts]
            job = GreedyJob(str(bundle.absolute()), device, str(self._library), ids, tokens, str(answers))
            _run(directory, job)
            return msgspec.json.decode(answers.read_bytes(), type=list[list[int]])


@contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="wizardtpu-simulation-") as name:
        yield Path(name)


def _run(directory: Path, job: Job, cancelled: threading.Event | None = None) -> None:
    (directory / JOB_NAME).write_bytes(msgspec.json.encode(job))
    log = directory / "log.txt"
    command = [sys.executable, "-m", "wizardtpu_compile.simulation", str(directory / JOB_NAME)]
    finished = run_logged(command, cwd=directory, env=os.environ, log=log, cancelled=cancelled)
    if finished.code:
        raise VerificationError(f"the vendor's runtime ended with {finished.code}: {_tail(log)}")


def _tail(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return "\n  ".join(lines[-_LAST_LINES:]) or "it said nothing"


def _load(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path) as arrays:
        return dict(arrays)
