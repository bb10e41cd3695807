"""From lowered MLIR to a bmodel, and what is told if that fails."""

from __future__ import annotations

import re
import shlex
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wizardtpu_compile.disk import put
from wizardtpu_compile.errors import ToolchainError
from wizardtpu_compile.steps.process import Finished, run_logged
from wizardtpu_compile.toolchain.kernels import kernel_cache
from wizardtpu_compile.toolchain.output import cause, cycles
from wizardtpu_compile.toolchain.passes import BMODEL, calls
from wizardtpu_compile.toolchain.toolchain import Toolchain

_WEIGHT_FILE = re.compile(r'module\.weight_file = "([^"]+)"')


@dataclass(frozen=True)
class Compiled:
    """What a compile took, and what the network will take: cycles as estimated, 1000 of them a microsecond."""

    cycles: int
    seconds: float
    peak_memory: int
    """Bytes."""


def compile_network(
    toolchain: Toolchain, mlir: Path, bmodel: Path, log: Path, cancelled: threading.Event | None = None
) -> Compiled:
    """Compiles lowered MLIR to `bmodel`; leaves nothing else but `log`.

    The text names its weight file by a path relative to its own directory; that file may be in use by others.

    Raises:
        ToolchainError: the compiler failed; has the end of what it said and how to run it again.
        Cancelled: `cancelled` was set; the compiler is killed.
    """
    mlir, bmodel, log = mlir.absolute(), bmodel.absolute(), log.absolute()
    with tempfile.TemporaryDirectory(dir=bmodel.parent, prefix=f".{bmodel.name}.") as name:
        directory = Path(name)
        _bring_inputs(mlir, directory)
        log.write_bytes(b"")
        outcomes = _run_calls(toolchain, mlir, directory, log, cancelled)
        if outcomes[-1].code or not (directory / BMODEL).exists():
            raise ToolchainError(_failure(toolchain, mlir, log, outcomes))
        put(directory / BMODEL, bmodel)
        return Compiled(
            cycles=cycles(directory),
            seconds=sum(outcome.seconds for outcome in outcomes),
            peak_memory=max(outcome.peak_memory for outcome in outcomes),
        )


def _bring_inputs(mlir: Path, directory: Path) -> None:
    """The compiler writes many files where it runs, under names of its own: each run has a directory to itself."""
    text = mlir.read_text(encoding="utf-8")
    if named := _WEIGHT_FILE.search(text):
        weights = mlir.parent / named[1]
        if not weights.is_file():
            raise ToolchainError(f"{weights}, the weight file of {mlir.name}, is missing")
        (directory / weights.name).symlink_to(weights)
        text = f"{text[: named.start(1)]}{weights.name}{text[named.end(1) :]}"
    (directory / mlir.name).write_text(text, encoding="utf-8")


def _run_calls(
    toolchain: Toolchain, mlir: Path, directory: Path, log: Path, cancelled: threading.Event | None
) -> list[Finished]:
    """Runs one call after the other, until one fails."""
    outcomes: list[Finished] = []
    with kernel_cache(toolchain.kernels) as cache:
        environment = toolchain.environment() | cache | {"PWD": str(directory)}
        for arguments in calls(mlir.name):
            command = [str(toolchain.compiler), *arguments]
            outcomes.append(run_logged(command, cwd=directory, env=environment, log=log, cancelled=cancelled))
            if outcomes[-1].code:
                break
    return outcomes


def _failure(toolchain: Toolchain, mlir: Path, log: Path, outcomes: Sequence[Finished]) -> str:
    why = cause(outcomes[-1].code, log)
    again = _shell_command(toolchain, mlir, len(outcomes))
    return f"{mlir} cannot be compiled: {why}\nall it said is in {log}; to run it again:\n  {again}"


def _shell_command(toolchain: Toolchain, mlir: Path, number: int) -> str:
    """The first `number` calls, for a person's shell; with kernels compiled anew."""
    variables = toolchain.environment()
    del variables["PPL_CACHE_PATH"]
    environment = shlex.join(f"{name}={value}" for name, value in variables.items())
    prefix = (
        f'env -i {environment} PPL_CACHE_PATH="$(mktemp -d)" PWD="$PWD" {shlex.quote(str(toolchain.compiler))}'
    )
    parts = [f"{prefix} {shlex.join(arguments)}" for arguments in calls(mlir.name)[:number]]
    return " && ".join([f"cd {shlex.quote(str(mlir.parent))}", *parts])
