"""Runs the steps of a build side by side."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from wizardtpu_compile.disk import sync
from wizardtpu_compile.errors import StepError
from wizardtpu_compile.steps.cancellation import cancel
from wizardtpu_compile.steps.failure import step_error
from wizardtpu_compile.steps.plan import Plan
from wizardtpu_compile.steps.progress import NO_STEP_PROGRESS, StepProgress
from wizardtpu_compile.steps.record import StepRecord, made_in
from wizardtpu_compile.steps.schedule import Schedule
from wizardtpu_compile.steps.step import Step
from wizardtpu_compile.steps.workspace import Workspace


def run_steps(
    workspace: Workspace,
    steps: Iterable[Step],
    jobs: int,
    memory_limit: int,
    progress: StepProgress = NO_STEP_PROGRESS,
    *,
    disk_limit: int | None = None,
) -> dict[str, StepRecord]:
    """Runs the steps that are not done yet, and gives the records of all.

    If one fails, no other is begun, and those running are waited for, so that their work is kept. If this thread
    is interrupted (Ctrl-C), programs are killed and threads are made to end at once. What is done stays done.

    Args:
        workspace: where they work; it is locked.
        steps: each after those it needs. Of those that are ready the first goes first: give all steps of a layer,
            then those of the next. What the workspace has of other steps is removed.
        jobs: how many may run at once.
        memory_limit: bytes that they may take together, as they estimate it.
        progress: is told about each.
        disk_limit: bytes that files which are going to be discarded may take together, as steps estimate it.

    Raises:
        StepError: a step failed.
        ValueError: the steps do not make a plan.
    """
    plan = Plan(steps)
    missing = workspace.missing(plan)
    workspace.tidy(plan, missing)
    run = _Run(workspace, plan, Schedule(plan, missing, jobs, memory_limit, disk_limit), progress)
    try:
        progress.begin([step for step in plan.steps.values() if step.name in missing], len(plan.steps), jobs)
        run.run()
    finally:
        progress.close()
    return run.records


@dataclass(frozen=True)
class _Outcome:
    """How a step ended."""

    step: Step
    result: StepRecord | BaseException


class _Run:
    """One run; steps have a thread each, and all that is remembered is written by the thread that runs it."""

    def __init__(self, workspace: Workspace, plan: Plan, schedule: Schedule, progress: StepProgress) -> None:
        self._workspace = workspace
        self._plan = plan
        self._schedule = schedule
        self._progress = progress
        self._cancelled = threading.Event()
        self._outcomes: queue.SimpleQueue[_Outcome] = queue.SimpleQueue()
        self._threads: dict[str, threading.Thread] = {}
        self._failed: tuple[Step, BaseException] | None = None

    @property
    def records(self) -> dict[str, StepRecord]:
        found = {name: self._workspace.record(name) for name in self._plan.steps}
        return {name: record for name, record in found.items() if record is not None}

    def run(self) -> None:
        try:
            self._start_steps()
            while self._schedule.running:
                self._take(self._outcomes.get())
                self._start_steps()
        except BaseException:
            cancel(self._threads.values(), self._cancelled)
            raise
        if self._failed is not None:
            raise self._error(*self._failed) from self._failed[1]

    def _start_steps(self) -> None:
        while self._failed is None and (step := self._schedule.start()):
            self._progress.start(step)
            thread = threading.Thread(target=self._work, args=(step,), name=step.name, daemon=True)
            thread.start()
            self._threads[step.name] = thread

    def _work(self, step: Step) -> None:
        """Runs in the step's thread."""
        try:
            result: StepRecord | BaseException = self._do(step)
        except BaseException as error:  # Cancelled too, but then nobody looks
            result = error
        self._outcomes.put(_Outcome(step, result))

    def _do(self, step: Step) -> StepRecord:
        began = time.monotonic()
        digest = self._plan.digests[step.name]
        directory = self._workspace.begin(step, digest, self._cancelled)
        report = msgspec.to_builtins(step.run(directory), enc_hook=_number)
        files = made_in(directory.path)
        for name in files:
            sync(directory.path / name)
        return StepRecord(digest, time.monotonic() - began, files, report)

    def _take(self, outcome: _Outcome) -> None:
        """Keeps what a step has made, or the first failure."""
        step, result = outcome.step, outcome.result
        self._threads.pop(step.name).join()
        error = self._keep(step, result) if isinstance(result, StepRecord) else result
        self._schedule.finish(step.name, done=error is None)
        if error is not None and self._failed is None:
            self._failed = step, error

    def _keep(self, step: Step, record: StepRecord) -> OSError | None:
        try:
            self._workspace.finish(step.name, record)
            self._workspace.discard(self._plan, {*self._schedule.done, step.name})
        except OSError as error:
            return error
        self._progress.finish(step, record)
        return None

    def _error(self, step: Step, error: BaseException) -> StepError:
        outlook = self._workspace.outlook(len(self._schedule.done), len(self._plan.steps))
        return step_error(step.name, error, self._workspace.log(step.name), outlook)


def _number(value: object) -> Any:
    """Numbers of numpy, which msgspec does not know."""
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"{type(value).__name__} {value!r} cannot be kept in a report")
