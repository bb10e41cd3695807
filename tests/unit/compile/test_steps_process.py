"""Programs that steps run: what is told of them, and that they end."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import psutil
import pytest
from wizardtpu_compile.steps.cancellation import Cancelled
from wizardtpu_compile.steps.process import Finished, run_logged

from tests.support.eventually import eventually

ENVIRONMENT = {"PATH": os.defpath}
MB = 1_000_000


def run(tmp_path: Path, *command: str, cancelled: threading.Event | None = None, **env: str) -> Finished:
    log = tmp_path / "log.txt"
    return run_logged(command, cwd=tmp_path, env={**ENVIRONMENT, **env}, log=log, cancelled=cancelled)


def test_both_outputs_are_appended_to_the_log(tmp_path: Path) -> None:
    run(tmp_path, "sh", "-c", "echo first; echo second >&2")
    run(tmp_path, "echo", "third")
    assert (tmp_path / "log.txt").read_text() == "first\nsecond\nthird\n"


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -SEGV $$", -11)])
def test_exit_code(tmp_path: Path, script: str, code: int) -> None:
    assert run(tmp_path, "sh", "-c", script).code == code


def test_environment_and_directory_are_those_given(tmp_path: Path) -> None:
    run(tmp_path, "/usr/bin/env", "pwd", NAME="a=b\nc")
    run(tmp_path, "/usr/bin/env", NAME="a=b\nc")
    assert (tmp_path / "log.txt").read_text() == f"{tmp_path}\nPATH={os.defpath}\nNAME=a=b\nc\n"


def test_a_large_environment(tmp_path: Path) -> None:
    """More than a pipe holds; a single variable may have 128 KiB."""
    env = {f"V{i}": "x" * 100_000 for i in range(5)}
    run_logged(["/usr/bin/env"], cwd=tmp_path, env=env, log=tmp_path / "log.txt")
    assert len((tmp_path / "log.txt").read_text()) > 500_000


def test_the_environment_is_not_shown_to_everybody(tmp_path: Path) -> None:
    run(tmp_path, "sh", "-c", "cat /proc/$PPID/cmdline", SECRET="do not tell")
    told = (tmp_path / "log.txt").read_text()
    assert "supervisor.py" in told
    assert "do not tell" not in told


def test_input_is_empty(tmp_path: Path) -> None:
    run(tmp_path, "cat")
    assert (tmp_path / "log.txt").read_text() == ""


def test_memory_is_the_programs_own(tmp_path: Path) -> None:
    """This process is larger."""
    ballast = bytes(200 * MB)
    small = run(tmp_path, "true").peak_memory
    large = run(tmp_path, sys.executable, "-c", f"bytearray(b'x') * {100 * MB}").peak_memory
    assert small < 50 * MB
    assert 100 * MB < large < 180 * MB
    assert len(ballast) > large


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        run(tmp_path, "no-such-program")


def test_cancelled_before_it_starts(tmp_path: Path) -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Cancelled):
        run(tmp_path, "touch", "began", cancelled=cancelled)
    assert not (tmp_path / "began").exists()
    assert psutil.Process().children() == []


def test_cancelled_while_it_runs(tmp_path: Path) -> None:
    cancelled, ended = threading.Event(), threading.Event()

    def wait() -> None:
        with pytest.raises(Cancelled):
            run(tmp_path, "sh", "-c", "sleep 1000 & echo $$ $! > pids; wait", cancelled=cancelled)
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        pids = eventually(lambda: _words(tmp_path / "pids"), "the program")
    finally:
        cancelled.set()
        thread.join()
    assert ended.is_set()
    assert psutil.Process().children() == []
    eventually(lambda: not any(map(_runs, pids)), "the end of all it started")


def test_what_a_program_leaves_running_ends_with_it(tmp_path: Path) -> None:
    assert run(tmp_path, "sh", "-c", "sleep 1000 & echo $! > pids").code == 0
    (pid,) = _words(tmp_path / "pids")
    eventually(lambda: not _runs(pid), "the end of what was left")


def test_what_watched_it_was_killed(tmp_path: Path) -> None:
    """As a machine does that runs out of memory."""
    with pytest.raises(ChildProcessError, match="was killed"):
        run(tmp_path, "sh", "-c", "kill -KILL $PPID")


def _words(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def _runs(pid: str) -> bool:
    try:
        return psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
