"""Steps run side by side, and what fails or is missing is told."""

from __future__ import annotations

import dataclasses
import os
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wizardtpu_compile.errors import StepError, ToolchainError
from wizardtpu_compile.steps.process import run_logged
from wizardtpu_compile.steps.record import StepRecord
from wizardtpu_compile.steps.runner import run_steps
from wizardtpu_compile.steps.step import Step, StepDirectory, StepReport
from wizardtpu_compile.steps.workspace import Workspace

from tests.support.step_graphs import graphs

FEW = settings(max_examples=30)
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a disk would make many examples slow


class Watched:
    """Steps of a graph that make a file, look at those they need, and are watched while they run."""

    def __init__(self, graph: Iterable[Step], fails: str = "") -> None:
        self.steps = [dataclasses.replace(step, run=self._run(step)) for step in graph]
        self.ran: Counter[str] = Counter()
        self.together: list[list[Step]] = []
        self._fails = fails
        self._running: dict[str, Step] = {}
        self._lock = threading.Lock()

    def _run(self, step: Step) -> Callable[[StepDirectory], StepReport]:
        def run(directory: StepDirectory) -> StepReport:
            with self._lock:
                self.ran[step.name] += 1
                self._running[step.name] = step
                self.together.append(list(self._running.values()))
            try:
                self._do(step, directory)
            finally:
                with self._lock:
                    del self._running[step.name]
            return {"name": step.name}

        return run

    def _do(self, step: Step, directory: StepDirectory) -> None:
        for name in step.needs:
            assert (directory.of(name) / "file").read_text() == name
        if step.name == self._fails:
            raise ToolchainError("it was told to")
        (directory.path / "file").write_text(step.name)


def build(directory: Path, steps: Iterable[Step], jobs: int = 2, memory: int = 8) -> dict[str, StepRecord]:
    with Workspace(directory) as workspace:
        return run_steps(workspace, steps, jobs, memory)


def after(steps: list[Step], name: str) -> set[str]:
    """The step and all that depend on it."""
    found = {name}
    for step in steps:
        if not found.isdisjoint(step.needs):
            found.add(step.name)
    return found


@FEW
@given(graphs(), st.integers(1, 3), st.integers(0, 8))
def test_every_step_runs_once_within_all_limits(graph: list[Step], jobs: int, memory: int) -> None:
    watched = Watched(graph)
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        records = build(Path(directory), watched.steps, jobs, memory)
    assert watched.ran == {step.name: 1 for step in graph}
    assert {name: record.report for name, record in records.items()} == {s.name: {"name": s.name} for s in graph}
    for running in watched.together:
        assert len(running) <= jobs
        assert len(running) == 1 or sum(step.memory for step in running) <= memory


@FEW
@given(st.data(), graphs())
def test_after_a_failure_exactly_what_is_missing_is_run(data: st.DataObject, graph: list[Step]) -> None:
    """What is missing: what was not done, and, of that, whatever it needs whose files were discarded."""
    fails = data.draw(st.sampled_from([step.name for step in graph]))
    first, second, third = Watched(graph, fails), Watched(graph), Watched(graph)
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        with pytest.raises(StepError, match=f"step {fails} failed: it was told to"):
            build(Path(directory), first.steps)
        kept = {step.name for step in graph if (Path(directory) / "steps" / step.name / "done.json").exists()}
        with_files = {name for name in kept if (Path(directory) / "steps" / name / "file").exists()}
        build(Path(directory), second.steps)
        build(Path(directory), third.steps)
    assert kept == first.ran.keys() - {fails}
    expected: set[str] = set()
    for step in reversed(graph):
        needed = any(step.name in other.needs for other in graph if other.name in expected)
        if step.name not in kept or (needed and step.name not in with_files):
            expected.add(step.name)
    assert second.ran == dict.fromkeys(expected, 1)
    assert third.ran == {}


@FEW
@given(st.data(), graphs())
def test_a_changed_step_is_redone_with_all_that_depends_on_it(data: st.DataObject, graph: list[Step]) -> None:
    graph = [dataclasses.replace(step, discards=()) for step in graph]
    name = data.draw(st.sampled_from([step.name for step in graph]))
    changed = [dataclasses.replace(s, digest="another") if s.name == name else s for s in graph]
    watched = Watched(changed)
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        build(Path(directory), Watched(graph).steps)
        build(Path(directory), watched.steps)
    assert watched.ran == dict.fromkeys(after(graph, name), 1)


def step(name: str, run: Callable[[StepDirectory], StepReport], *needs: str, **more: Any) -> Step:
    return Step(name, "digest", needs, memory=1, work=1, run=run, **more)


def failing(error: BaseException) -> Callable[[StepDirectory], StepReport]:
    def run(_directory: StepDirectory) -> StepReport:
        raise error

    return run


def failure(tmp_path: Path, *steps: Step) -> str:
    with pytest.raises(StepError) as caught:
        build(tmp_path, steps)
    return str(caught.value)


def test_steps_run_side_by_side(tmp_path: Path) -> None:
    meeting = threading.Barrier(2, timeout=30)

    def meet(_directory: StepDirectory) -> StepReport:
        meeting.wait()
        return {}

    build(tmp_path, [step("a", meet), step("b", meet)], jobs=2)


def test_those_running_are_waited_for_when_one_fails(tmp_path: Path) -> None:
    failed = threading.Event()

    def fail(_directory: StepDirectory) -> StepReport:
        failed.set()
        raise ToolchainError("no")

    def outlast(_directory: StepDirectory) -> StepReport:
        assert failed.wait(30)
        return {}

    told = failure(tmp_path, step("fails", fail), step("lasts", outlast), step("never", failing(ValueError())))
    assert told == "step fails failed: no\n1 of 3 steps are done and kept: the same command goes on from there"
    assert not (tmp_path / "steps" / "never").exists()


def test_a_failure_shows_the_end_of_the_log(tmp_path: Path) -> None:
    def run(directory: StepDirectory) -> StepReport:
        directory.log.write_text("".join(f"line {i}\n\n" for i in range(1000)))
        raise ToolchainError("the compiler failed")

    told = failure(tmp_path, step("net", run)).splitlines()
    assert told[:2] == ["step net failed: the compiler failed", "  line 985"]
    assert told[-3:] == [
        "  line 999",
        f"its whole log is in {tmp_path}/steps/net/log.txt",
        "0 of 1 steps are done and kept: the same command goes on from there",
    ]


def test_a_log_that_the_error_tells_of_is_not_told_twice(tmp_path: Path) -> None:
    def run(directory: StepDirectory) -> StepReport:
        directory.log.write_text("segfault\n")
        raise ToolchainError(f"segfault; see {directory.log}")

    assert failure(tmp_path, step("net", run)).count("segfault") == 1


def test_an_error_nobody_foresaw_leaves_its_traceback_in_the_log(tmp_path: Path) -> None:
    told = failure(tmp_path, step("net", failing(ZeroDivisionError("by nothing"))))
    assert told.startswith("step net failed: ZeroDivisionError: by nothing\n  Traceback")
    assert "in run" in (tmp_path / "steps" / "net" / "log.txt").read_text()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(2, "No such file or directory", "/gone"), "/gone: No such file or directory"),
        (MemoryError(), "there is not enough memory; run fewer jobs at once"),
        (SystemExit(3), "SystemExit: 3"),
    ],
)
def test_causes(tmp_path: Path, error: BaseException, words: str) -> None:
    assert failure(tmp_path, step("net", failing(error))).splitlines()[0] == f"step net failed: {words}"


def test_a_report_that_cannot_be_kept_is_a_failure(tmp_path: Path) -> None:
    assert "cannot be kept in a report" in failure(tmp_path, step("net", lambda _directory: {"what": object()}))


def test_a_report_is_the_same_now_and_later(tmp_path: Path) -> None:
    steps = [step("net", lambda _directory: {"cosine": np.float32(0.5), "shape": (1, 64), "peak_memory": 7})]
    now, later = build(tmp_path, steps)["net"], build(tmp_path, steps)["net"]
    assert now == later
    assert (now.report, now.peak_memory) == ({"cosine": 0.5, "shape": [1, 64], "peak_memory": 7}, 7)


def test_a_full_disk_is_told_with_what_is_free(tmp_path: Path) -> None:
    def fill(_directory: StepDirectory) -> StepReport:
        with Path("/dev/full").open("wb", buffering=0) as file:
            file.write(b"1")
        return {}

    told = failure(tmp_path, step("a", lambda _directory: {}), step("net", fill, "a")).splitlines()
    assert told[0] == "step net failed: No space left on device"
    assert told[1].startswith(f"the file system {mount_point(tmp_path)} is full: ")
    assert told[1].endswith(" GB are free; make room there")
    assert told[2] == "1 of 2 steps are done and kept: the same command goes on from there"


def test_a_full_disk_that_a_program_met(tmp_path: Path) -> None:
    def fill(directory: StepDirectory) -> StepReport:
        env = {"PATH": os.defpath, "LC_ALL": "C"}
        done = run_logged(["cp", "/proc/self/stat", "/dev/full"], cwd=tmp_path, env=env, log=directory.log)
        raise ToolchainError(f"exit code {done.code}")

    told = failure(tmp_path, step("net", fill))
    assert "No space left on device" in told
    assert f"\nthe file system {mount_point(tmp_path)} is full: " in told


def test_a_full_disk_names_the_file_system_of_the_file(tmp_path: Path) -> None:
    error = OSError(28, "No space left on device", "/proc/no/such/file")
    assert "\nthe file system /proc is full: " in failure(tmp_path, step("net", failing(error)))


def test_a_record_that_cannot_be_written_is_a_failure_of_its_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(_record: StepRecord, _directory: Path) -> None:
        raise OSError(28, "No space left on device")

    steps = [step("a", lambda _directory: {})]
    with monkeypatch.context() as patch:
        patch.setattr(StepRecord, "write", write)
        told = failure(tmp_path, *steps)
    assert told.startswith("step a failed: No space left on device\nthe file system ")
    assert build(tmp_path, steps).keys() == {"a"}


def mount_point(path: Path) -> Path:
    return next(place for place in (path, *path.parents) if place.is_mount())
