"""The vendor's command line tools."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wizardtpu_compile.errors import ToolchainError
from wizardtpu_compile.steps.process import Finished, run_logged
from wizardtpu_compile.toolchain.kernels import kernel_cache
from wizardtpu_compile.toolchain.output import cause
from wizardtpu_compile.toolchain.toolchain import Toolchain

_CURE = "wizardtpu-compile toolchain install --frontend-onnx"


def find_frontend(toolchain: Toolchain) -> Path:
    """The interpreter of the front end.

    Raises:
        ToolchainError: it is not installed.
    """
    if toolchain.python is None:
        raise ToolchainError(
            f"the toolchain in {toolchain.directory} has no front end for ONNX; "
            f"`{_CURE} --directory {toolchain.directory}` adds it"
        )
    return toolchain.python


@dataclass(frozen=True)
class Tools:
    """Runs tools in a directory; what they say is added to a log.

    Attributes:
        toolchain: where they are.
        directory: where they run: they write many files there.
        log: an absolute path.
        cancelled: when it is set, a tool that runs is killed, and `Cancelled` raised.
    """

    toolchain: Toolchain
    directory: Path
    log: Path
    cancelled: threading.Event | None = None

    def script(self, name: str, *arguments: str) -> Finished:
        """Runs one of the tools written in Python.

        Raises:
            ToolchainError: it failed, or the front end is not installed.
        """
        path = self.toolchain.package / "python" / "tools" / f"{name}.py"
        return self._run(name, [str(find_frontend(self.toolchain)), str(path), *arguments])

    def program(self, name: str, *arguments: str) -> Finished:
        """Runs one of the programs.

        Raises:
            ToolchainError: it failed.
        """
        return self._run(name, [str(self.toolchain.package / "bin" / name), *arguments])

    def _run(self, name: str, command: Sequence[str]) -> Finished:
        with kernel_cache(self.toolchain.kernels) as cache:
            environment = self.toolchain.python_environment() | cache | {"PWD": str(self.directory)}
            outcome = run_logged(
                command, cwd=self.directory, env=environment, log=self.log, cancelled=self.cancelled
            )
        if outcome.code:
            raise ToolchainError(f"{name} failed: {cause(outcome.code, self.log)}\nall it said is in {self.log}")
        return outcome
