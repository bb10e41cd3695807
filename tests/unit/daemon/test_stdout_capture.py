"""What libraries print is logged to the last word, however the process ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = """
import ctypes, os, signal, sys, time
from wizardtpud.observability.stdout_capture import capture_stdout

capture_stdout("debug", "json")
library = ctypes.CDLL(None)
library.puts(b"begin to cmodel init...")
library.puts(b"[BMRT][launch:1] FATAL:the last words")
"""
LAST = {"level": "error", "message": "the device's library says", "text": "[BMRT][launch:1] FATAL:the last words"}


def run(ending: str, *options: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code of a process that prints and ends, and what is in its log when the reader is gone, too."""
    command = [sys.executable, *options, "-c", PROGRAM + ending]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.stdout == ""
    return ended.returncode, [json.loads(line) for line in ended.stderr.splitlines()]


def without_time(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "time"}


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("library._exit(4)", 4),
        ("library.abort()", -signal.SIGABRT),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    ],
)
def test_the_last_words_are_logged(ending: str, code: int) -> None:
    ended, records = run(ending)

    assert ended == code
    first, last = records
    assert (first["level"], first["text"]) == ("debug", "begin to cmodel init...")
    assert without_time(last) == LAST


def test_modules_of_the_working_directory_are_not_the_reader_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logging.py").write_text("raise SystemExit('mine')")
    _, records = run("", "-I")

    assert without_time(records[-1]) == LAST


def test_a_line_that_is_not_finished() -> None:
    _, records = run('library.printf(b"ASSERT info: n"); library.fflush(None); library._exit(1)')

    assert records[-1]["text"] == "ASSERT info: n"


def test_words_that_are_no_text() -> None:
    _, records = run(r'library.puts(b"\xff\n\n\x1b[0mred")')

    assert [record["text"] for record in records[2:]] == ["\ufffd", "\x1b[0mred"]


def test_signals_that_end_the_daemon_leave_the_reader_alone() -> None:
    """Ctrl-C reaches all processes of a terminal, and systemd ends all of a service."""
    ending = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
for number in (signal.SIGINT, signal.SIGTERM):
    os.killpg(0, number)
library.puts(b"one more word")
"""
    command = [sys.executable, "-c", PROGRAM + ending]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        _, stderr = process.communicate(timeout=60)

    assert json.loads(stderr.splitlines()[-1])["text"] == "one more word"


def test_only_what_is_important_enough_is_written() -> None:
    program = PROGRAM.replace('"debug", "json"', '"info", "text"')
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    (line,) = ended.stderr.splitlines()
    assert ' ERROR the device\'s library says text="[BMRT][launch:1] FATAL:the last words"' in line
