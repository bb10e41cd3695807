"""The engine, with something else happening before each of its steps: what other threads would do, but on cue."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from wizardtpud.engine.engine import Engine, Progress
from wizardtpud.engine.wizardtpu.forward import StepForward

from tests.support.fake_runtime import FakeRuntime, fake_model

Action = Callable[[], object]


def nothing() -> None:
    """Lets a step pass."""


class ScriptedEngine(Engine):
    """Over the fake device; takes one action from the script before each step, as long as there are any.

    Args:
        drafted: how many tokens a sequence gets in one step, as if all but one had been guessed beforehand.

    Attributes:
        runtime: the device.
    """

    def __init__(
        self, script: Iterable[Action] = (), *, slots: int = 1, context: int = 64, drafted: int = 1
    ) -> None:
        self.runtime: FakeRuntime
        self.runtime, layout = fake_model(context=context)
        super().__init__(StepForward(self.runtime, layout, slots), [0])
        self._script = iter(script)
        self._drafted = drafted

    def plays(self, script: Iterable[Action]) -> None:
        """Replaces the script."""
        self._script = iter(script)

    def step(self) -> list[Progress]:
        next(self._script, nothing)()
        progresses = {progress.sequence: progress for progress in super().step()}
        for _ in range(self._drafted - 1):
            for progress in super().step():
                progresses.setdefault(progress.sequence, Progress(progress.sequence)).tokens.extend(
                    progress.tokens
                )
        return list(progresses.values())
