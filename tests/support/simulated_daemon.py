"""Daemons whose device is the vendor's simulator, and the ways to reach it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from wizardtpu.v1 import generation_pb2 as wire
from wizardtpud.device.choice import DeviceKind

from tests.support import sail_daemon
from tests.support.conversation import Answer
from tests.support.daemon_process import COMMAND, DaemonProcess
from tests.support.sail import standin_environment

_LONGEST = 600  # seconds for an answer: a token takes seconds where others want the processor, too


def simulated_daemon(
    bundle: Path,
    scratch: Path,
    simulator: Path,
    kind: DeviceKind | Literal["auto"] = "simulator",
    *arguments: str,
    devices: int = 1,
    variables: Mapping[str, str] | None = None,
) -> DaemonProcess:
    """A daemon on the simulator: as such, as a chip for libbmrt, or as chips for what seems to be sophon-sail.

    Args:
        bundle: what to serve.
        scratch: a directory for its log and locks.
        simulator: directory of the simulator's libraries.
        kind: how to reach it; "auto" finds what seems to be sophon-sail.
        arguments: more of the command line.
        devices: how many there seem to be to sophon-sail.
        variables: more of the environment.
    """
    by_sail = kind in ("sail", "auto")
    library = () if by_sail else ("--library", str(simulator))
    return DaemonProcess(
        bundle,
        scratch,
        *("--device", kind, "--lock-directory", str(scratch), *library, *arguments),
        variables={**(standin_environment(simulator, devices) if by_sail else {}), **(variables or {})},
        command=sail_daemon.COMMAND if devices > 1 else COMMAND,
    )


def answer_ids(daemon: DaemonProcess, prompt: Sequence[int], count: int) -> list[int]:
    """The tokens that a daemon says greedily after a prompt, at most `count`."""
    request = wire.GenerateRequest(
        token_ids=wire.TokenIds(ids=prompt),
        stopping=wire.StoppingOptions(max_new_tokens=count),
        response=wire.ResponseOptions(token_ids=True),
    )
    return Answer.read(daemon.stub.Generate(request, timeout=_LONGEST)).token_ids
