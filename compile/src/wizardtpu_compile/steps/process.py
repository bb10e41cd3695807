"""Programs that steps run.

Between this process and the program stands a supervisor (see supervisor.py), for two reasons:

- A killed process cannot end what it started. PR_SET_PDEATHSIG, which asks the kernel to, reaches one process and
  not those it has started in turn (the vendor's compiler runs cmake, make and a C++ compiler), and is sent when
  the thread ends that started it. That the other end of a pipe is gone is noticed in every case.
- The peak memory that Linux tells of a child counts what it shared with its parent before it became the program:
  for a child of this process, with its arrays, that may be gigabytes. For one of the supervisor it is 10 MB.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from wizardtpu_compile.steps.cancellation import Cancelled

_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_LOOK_SECONDS = 0.05  # between looks at whether it is cancelled


@dataclass(frozen=True)
class Finished:
    """How a program ended.

    Attributes:
        code: its exit code, negative for the signal that killed it.
        seconds: how long it ran.
        peak_memory: bytes, of the largest of its processes.
    """

    code: int
    seconds: float
    peak_memory: int


def run_logged(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    cancelled: threading.Event | None = None,
) -> Finished:
    """Runs a program, with exactly this environment, and appends what it writes to `log`.

    Neither it nor anything it starts in its process group outlives this call or this process, however they end.

    Raises:
        OSError: the program cannot be started.
        Cancelled: `cancelled` was set; the program is killed.
    """
    program = shutil.which(command[0], path=env.get("PATH", os.defpath)) or command[0]
    began = time.monotonic()
    with _lifeline() as (far, near), log.open("ab") as output:
        supervisor = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_SUPERVISOR), str(far.fileno()), program, *command[1:]],
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            pass_fds=[far.fileno()],
            start_new_session=True,
        )
        with supervisor, closing(near):
            answer = _answer(supervisor, env, cancelled or threading.Event())
    return _finished(answer, program, time.monotonic() - began)


@contextmanager
def _lifeline() -> Iterator[tuple[FileIO, FileIO]]:
    far, near = os.pipe()
    with FileIO(far) as reading, FileIO(near, "wb") as writing:
        yield reading, writing


def _answer(supervisor: subprocess.Popen[bytes], env: Mapping[str, str], cancelled: threading.Event) -> list[str]:
    """What the supervisor says once it is told the environment: a library path in it is not for its own Python."""
    told: bytes | None = b"".join(os.fsencode(f"{name}={value}") + b"\0" for name, value in env.items())
    while not cancelled.is_set():
        with suppress(subprocess.TimeoutExpired):
            return supervisor.communicate(told, timeout=_LOOK_SECONDS)[0].decode().split()
        told = None  # it is being written
    raise Cancelled


def _finished(answer: Sequence[str], program: str, seconds: float) -> Finished:
    if not answer:
        raise ChildProcessError(f"{program}: the process that watched it was killed")
    if answer[0] == "errno":
        raise OSError(int(answer[1]), os.strerror(int(answer[1])), program)
    status, memory = map(int, answer)
    return Finished(os.waitstatus_to_exitcode(status), seconds, memory * 1024)
