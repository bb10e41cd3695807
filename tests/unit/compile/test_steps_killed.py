"""A build that is killed or interrupted leaves no program behind and goes on where it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.support.eventually import eventually
from tests.support.toy_build import BUNDLE, HELD, LAYERS, NETS, RAN, ToyBuild

STEPS = [step.name for step in ToyBuild(Path()).steps()]
HELD_STEPS = ["block_0.weights", "block_0_t1", "block_1_t64", "block_2.weights", "block_2_t64"]


@contextmanager
def building(directory: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.support.toy_build", str(directory)]
    environment = {**os.environ, **variables}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def held(directory: Path, process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes of the step that does not end, once they run."""

    def pids() -> list[int]:
        assert process.poll() is None, process.communicate()
        file = directory / HELD
        return [int(word) for word in file.read_text().split()] if file.exists() else []

    return [psutil.Process(pid) for pid in eventually(pids, "a step that is held")]


def gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def ran(directory: Path) -> list[str]:
    """What ran since this was last asked."""
    names = (directory / RAN).read_text().split() if (directory / RAN).exists() else []
    (directory / RAN).unlink(missing_ok=True)
    return names


def finish(directory: Path) -> None:
    with building(directory) as process:
        assert (process.communicate(timeout=60)[1], process.returncode) == ("", 0)
    for layer in LAYERS:
        expected = "".join(f"{layer}.weights\n{layer}_{net}\n" for net in NETS)
        assert (directory / BUNDLE / f"{layer}.add").read_text() == expected
    left = [path.name for path in (directory / "work" / "steps").glob("*/*") if path.is_file()]
    assert set(left) == {"done.json", "log.txt"}


def done(directory: Path) -> set[str]:
    return {path.parent.name for path in (directory / "work" / "steps").glob("*/done.json")}


@pytest.mark.parametrize("name", HELD_STEPS)
def test_killed(tmp_path: Path, name: str) -> None:
    with building(tmp_path, HOLD=name) as process:
        processes = held(tmp_path, process)
        process.kill()
        process.wait(timeout=30)
    for waiting in processes:
        eventually(lambda waiting=waiting: gone(waiting), f"the end of {waiting}")  # type: ignore[misc]
    kept = done(tmp_path)
    assert name not in kept
    ran(tmp_path)
    finish(tmp_path)
    assert set(ran(tmp_path)) == set(STEPS) - kept


@pytest.mark.parametrize("name", HELD_STEPS)
def test_interrupted(tmp_path: Path, name: str) -> None:
    with building(tmp_path, HOLD=name) as process:
        processes = held(tmp_path, process)
        process.send_signal(signal.SIGINT)
        messages = process.communicate(timeout=30)[1]
        assert (messages, process.returncode) == ("", 130)
        assert [waiting for waiting in processes if not gone(waiting)] == []
    kept = done(tmp_path)
    assert name not in kept
    ran(tmp_path)
    finish(tmp_path)
    assert set(ran(tmp_path)) == set(STEPS) - kept


@pytest.mark.parametrize("number", [5, 6, 7])
def test_killed_again_and_again_while_it_writes(tmp_path: Path, number: int) -> None:
    """A step waits for the disk four times at most, so every run gets one further."""
    codes: list[int] = []
    while not codes or codes[-1]:
        assert len(codes) <= len(STEPS)
        with building(tmp_path, KILL_AT=str(number)) as process:
            assert process.communicate(timeout=60)[1] == ""
            codes.append(process.returncode)
    assert set(codes[:-1]) == {-signal.SIGKILL}
    ran(tmp_path)
    finish(tmp_path)
    assert ran(tmp_path) == []


def test_a_second_build_is_refused_while_the_first_runs(tmp_path: Path) -> None:
    with building(tmp_path, HOLD="block_0.weights") as first:
        held(tmp_path, first)
        with building(tmp_path) as second:
            messages = second.communicate(timeout=30)[1]
        assert f"process {first.pid} is building in it" in messages
    finish(tmp_path)
