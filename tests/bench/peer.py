"""Foreign implementations, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.contender import Answer, Contender

_ROOT = Path(__file__).parents[2]
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_PATIENCE = 10.0  # seconds for the process to end once its input has


class PeerError(Exception):
    """A foreign implementation did not do its part."""


class Peer(Contender):
    """Speaks with a module of `tests.bench.peers` by lines of JSON.

    Attributes:
        versions: of the libraries that it uses.
    """

    def __init__(self, name: str, process: subprocess.Popen[str], log: Path) -> None:
        self.name = name
        self._process = process
        self._log = log
        self.versions: dict[str, str] = self._receive()["versions"]

    @classmethod
    @contextmanager
    def start(cls, name: str, python: Path, module: str, *arguments: str) -> Iterator[Peer]:
        """Runs the module by another environment's interpreter and ends it with the block.

        Raises:
            PeerError: it does not start.
        """
        with tempfile.TemporaryDirectory() as scratch:
            log = Path(scratch) / "stderr"
            with log.open("wb") as stderr:
                process = subprocess.Popen(
                    [python, "-m", f"tests.bench.peers.{module}", *arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    text=True,
                    cwd=_ROOT,
                    env=os.environ | _ONE_THREAD | {"HF_HUB_OFFLINE": "1"},
                )
            try:
                yield cls(name, process, log)
            finally:
                _end(process)

    def generate(self, prompt: Sequence[int], max_new_tokens: int) -> Answer:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"prompt": list(prompt), "max_new_tokens": max_new_tokens}) + "\n")
        self._process.stdin.flush()
        answer = self._receive()
        return Answer(answer["tokens"], answer["seconds"])

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise PeerError(f"{self.name} ended: {self._log.read_text(errors='replace')[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
