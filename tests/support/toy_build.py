"""A build of three layers without any model, to be killed: ``python -m tests.support.toy_build DIRECTORY``.

Each layer has weights, two nets that programs make of them, and an addition to the bundle, here a directory.
Variables of the environment say what happens to it:

HOLD=NAME    this step begins, leaves the pid of who waits in DIRECTORY/held, and never ends
KILL_AT=N    the process kills itself when it waits for the disk for the Nth time
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from wizardtpu_compile.steps.process import run_logged
from wizardtpu_compile.steps.runner import run_steps
from wizardtpu_compile.steps.step import Step, StepDirectory, StepReport
from wizardtpu_compile.steps.workspace import Workspace

LAYERS = ("block_0", "block_1", "block_2")
NETS = ("t1", "t64")
BUNDLE = "bundle"
RAN = "ran.txt"
HELD = "held"

Make = Callable[[str, tuple[str, ...], StepDirectory], StepReport]

_MAKE_NET = 'cat "$1" > net.part && echo "$2" >> net.part && mv net.part net'
_WAIT = 'sleep 1000 & echo "$$ $!" > "$1.part" && mv "$1.part" "$1" && wait'


class ToyBuild:
    """In `directory`; `hold` names the step that never ends."""

    def __init__(self, directory: Path, hold: str = "") -> None:
        self._directory = directory
        self._hold = hold

    def steps(self) -> Iterator[Step]:
        added: tuple[str, ...] = ()
        for layer in LAYERS:
            yield self._step(f"{layer}.weights", (), self._make_weights)
            for net in NETS:
                yield self._step(f"{layer}_{net}", (f"{layer}.weights",), self._make_net)
            nets = tuple(f"{layer}_{net}" for net in NETS)
            discards = (f"{layer}.weights", *nets)
            yield self._step(f"{layer}.add", (*nets, *added), self._add, discards=discards)
            added = (f"{layer}.add",)

    def _step(self, name: str, needs: tuple[str, ...], make: Make, **more: Any) -> Step:
        run = functools.partial(make, name, needs)
        return Step(name, f"digest of {name}", needs, memory=1, work=1, run=run, **more)

    def _make_weights(self, name: str, _needs: tuple[str, ...], directory: StepDirectory) -> StepReport:
        self._note(name)
        (directory.path / "weights").write_text(f"{name}\n")
        if name == self._hold:
            self._wait()
        return {"bytes": len(name)}

    def _make_net(self, name: str, needs: tuple[str, ...], directory: StepDirectory) -> StepReport:
        self._note(name)
        script, arguments = _MAKE_NET, [str(directory.of(needs[0]) / "weights"), name]
        if name == self._hold:
            script, arguments = _WAIT, [str(self._directory / HELD)]
        done = run_logged(
            ["sh", "-c", script, "sh", *arguments],
            cwd=directory.path,
            env={"PATH": os.defpath},
            log=directory.log,
            cancelled=directory.cancelled,
        )
        assert done.code == 0
        return {"peak_memory": done.peak_memory}

    def _add(self, name: str, needs: tuple[str, ...], directory: StepDirectory) -> StepReport:
        self._note(name)
        nets = [(directory.of(net) / "net").read_text() for net in needs if not net.endswith(".add")]
        made = directory.path / "made"
        made.write_text("".join(nets))
        made.replace(self._directory / BUNDLE / name)
        return {}

    def _note(self, name: str) -> None:
        with (self._directory / RAN).open("a") as file:
            file.write(f"{name}\n")

    def _wait(self) -> None:
        """Python code that takes its time."""
        (self._directory / HELD).write_text(f"{os.getpid()}\n")
        while True:
            time.sleep(0.01)


def _kill_at(number: int) -> None:
    fsync, left = os.fsync, iter(range(number - 1, -1, -1))

    def counted(descriptor: int) -> None:
        fsync(descriptor)
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    os.fsync = counted  # type: ignore[assignment]


def main() -> None:
    directory = Path(sys.argv[1])
    (directory / BUNDLE).mkdir(parents=True, exist_ok=True)
    if "KILL_AT" in os.environ:
        _kill_at(int(os.environ["KILL_AT"]))
    build = ToyBuild(directory, os.environ.get("HOLD", ""))
    try:
        with Workspace(directory / "work") as workspace:
            run_steps(workspace, build.steps(), jobs=2, memory_limit=10)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
