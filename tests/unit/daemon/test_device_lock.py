"""One daemon for each device, with real processes that hold locks and die."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from wizardtpud.device.lock import lock_device
from wizardtpud.errors import DeviceError

PROGRAM = """
import os, sys
from pathlib import Path
from wizardtpud.device.lock import lock_device
from wizardtpud.errors import DeviceError

os.umask(0o077)
sys.stdin.read(1)  # until all are ready
try:
    for device in sys.argv[2:]:
        lock_device(Path(sys.argv[1]), int(device), "/some bundle")
except DeviceError as error:
    print(error, flush=True)
else:
    print("locked", flush=True)
    sys.stdin.read()  # until told to end, or killed
"""
LONG_DEAD = 2**22 + 1  # no process: the largest number of one is 2**22


@contextmanager
def process(directory: Path, *devices: int) -> Iterator[subprocess.Popen[str]]:
    """One that waits for a line before it locks devices, and says "locked", or why it cannot."""
    command = [sys.executable, "-c", PROGRAM, str(directory), *map(str, devices)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        try:
            yield started
        finally:
            started.kill()


def says(started: subprocess.Popen[str], *, go: bool = True) -> str:
    assert started.stdin is not None
    assert started.stdout is not None
    if go:
        started.stdin.write("\n")
        started.stdin.flush()
    return started.stdout.readline().strip()


def lock_file(directory: Path, device: int = 0) -> Path:
    return directory / f"wizardtpud-device-{device}.lock"


def test_a_second_one_is_told_who_has_the_device(tmp_path: Path) -> None:
    with process(tmp_path, 0) as first, process(tmp_path, 0) as second:
        assert says(first) == "locked"
        since = json.loads(lock_file(tmp_path).read_text())["since"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", since)
        expected = f"device 0 is in use by process {first.pid} (wizardtpud, since {since}, serving /some bundle)"
        assert says(second).startswith(f"{expected}; stop that")


def test_other_devices_are_free(tmp_path: Path) -> None:
    with process(tmp_path, 0, 1) as first, process(tmp_path, 2, 1) as second, process(tmp_path, 2) as third:
        assert says(first) == "locked"
        assert says(second).startswith("device 1 is in use")
        second.wait()
        assert says(third) == "locked"


@pytest.mark.parametrize("ending", ["told", "killed"])
def test_it_is_free_when_its_holder_has_ended(tmp_path: Path, ending: str) -> None:
    with process(tmp_path, 0) as first, process(tmp_path, 0) as second:
        assert says(first) == "locked"
        first.kill() if ending == "killed" else first.communicate()
        first.wait()
        assert lock_file(tmp_path).exists()
        assert says(second) == "locked"
        assert json.loads(lock_file(tmp_path).read_text())["pid"] == second.pid


def test_of_many_that_start_at_once_one_has_it(tmp_path: Path) -> None:
    with (
        process(tmp_path, 0) as first,
        process(tmp_path, 0) as second,
        process(tmp_path, 0) as third,
    ):
        started = [first, second, third]
        for each in started:
            assert each.stdin is not None
            each.stdin.write("\n")
            each.stdin.flush()
        answers = [says(each, go=False) for each in started]
        assert answers.count("locked") == 1
        assert sum(answer.startswith("device 0 is in use by ") for answer in answers) == 2


def test_anybody_may_use_the_file_later(tmp_path: Path) -> None:
    with process(tmp_path, 0) as first:  # its umask would forbid that
        assert says(first) == "locked"
        assert lock_file(tmp_path).stat().st_mode & 0o777 == 0o666


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b'{"pid": "x"}',
        b'{"pid": 1, "since": "now", "serving": "a\\u001b[2Jb"}',
        json.dumps({"pid": LONG_DEAD, "since": "then", "serving": "what"}).encode(),
        b" " * 100_000,
    ],
)
def test_what_the_file_says_may_be_stale_or_nonsense(tmp_path: Path, content: bytes) -> None:
    lock_file(tmp_path).write_bytes(content)
    with process(tmp_path, 0) as first, process(tmp_path, 0) as second:
        assert says(first) == "locked"
        assert json.loads(lock_file(tmp_path).read_text())["pid"] == first.pid
        lock_file(tmp_path).write_bytes(content)
        assert says(second).startswith("device 0 is in use by another process;")


def test_links_are_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    lock_file(tmp_path).symlink_to(precious)

    with pytest.raises(
        DeviceError, match=r"cannot use the lock file .*device-0.lock: Too many levels of symbolic"
    ):
        lock_device(tmp_path, 0, "")

    assert precious.read_text() == "precious"


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(lock_file(tmp_path, 0))
    lock_file(tmp_path, 1).mkdir()

    with pytest.raises(DeviceError, match=r"device-0.lock is no file; remove it"):
        lock_device(tmp_path, 0, "")
    with pytest.raises(DeviceError, match=r"device-1.lock: Is a directory"):
        lock_device(tmp_path, 1, "")


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"No such file or directory; .* need the same lock_directory"):
        lock_device(tmp_path / "nowhere", 0, "")
