"""The command as a process of its own: signals, closed pipes and terminals."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from wizardtpu_client.cli.exit_code import ExitCode

from tests.support.scripted_server import (
    ScriptedServer,
    answer,
    delta,
    finished,
    play,
    queued,
    started,
    until_cancelled,
)

COMMAND = [sys.executable, "-m", "wizardtpu_client"]
HANGING = play(queued(1), started(), delta("Hel\n"), until_cancelled)


@contextmanager
def process(server: ScriptedServer, *argv: str, **streams: int) -> Iterator[subprocess.Popen[bytes]]:
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    environment = {**os.environ, "WIZARDTPU_ADDRESS": server.address, "TERM": "dumb", "COLUMNS": "40"}
    with subprocess.Popen([*COMMAND, *argv], env=environment, **streams) as running:  # type: ignore[call-overload]
        try:
            yield running
        finally:
            running.kill()


class Terminal:
    """A pseudo-terminal: the process gets `end`, the test reads and types."""

    def __init__(self) -> None:
        self._here, self.end = pty.openpty()
        self.seen = ""

    def until(self, text: str) -> None:
        """Reads until the text appears; fails if nothing comes for a long time."""
        while text not in self.seen:
            assert select.select([self._here], [], [], 20)[0], repr(self.seen)
            self.seen += os.read(self._here, 4096).decode(errors="replace")

    def type(self, text: str) -> None:
        os.write(self._here, text.encode(errors="surrogateescape"))

    def close(self) -> None:
        os.close(self._here)
        os.close(self.end)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


@pytest.mark.parametrize("option", ["--verbose", "--json", "--extract"])
def test_ctrl_c_cancels_and_says_nothing(server: ScriptedServer, option: str) -> None:
    server.plays(play(queued(1), started(), delta("```\nHel\n"), until_cancelled))
    with process(server, option, "x") as running:
        assert running.stdout
        assert running.stdout.readline()
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=20)
    assert (running.returncode, err) == (ExitCode.INTERRUPTED, b"")
    assert server.service.ended.wait(10)


def test_ctrl_c_while_waiting(server: ScriptedServer) -> None:
    server.plays(play(queued(4), until_cancelled))
    with process(server, "x") as running:
        assert running.stderr
        assert running.stderr.readline() == b"waiting: number 4 in the queue\n"
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=20)
    assert (running.returncode, out, err) == (ExitCode.INTERRUPTED, b"", b"")
    assert server.service.ended.wait(10)


def test_a_reader_that_goes_away_ends_it_quietly(server: ScriptedServer) -> None:
    server.plays(play(queued(1), started(), *[delta("line\n")] * 50_000, until_cancelled))
    with process(server, "x") as running:
        assert running.stdout
        assert running.stderr
        assert running.stdout.readline() == b"line\n"
        running.stdout.close()
        assert running.wait(20) == ExitCode.BROKEN_PIPE
        assert running.stderr.read() == b""
    assert server.service.ended.wait(10)


@pytest.mark.parametrize(("closed", "out"), [("<&-", b"Hello.\n"), (">&-", b""), ("2>&-", b"Hello.\n")])
def test_a_stream_that_is_closed(server: ScriptedServer, closed: str, out: bytes) -> None:
    environment = {**os.environ, "WIZARDTPU_ADDRESS": server.address}
    shell = ["sh", "-c", f'"$@" {closed}', "sh", *COMMAND, "x"]
    outcome = subprocess.run(
        shell, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False
    )
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, out, b"")


def test_ctrl_c_at_a_terminal_ends_the_line(server: ScriptedServer, terminal: Terminal) -> None:
    server.plays(play(queued(1), started(), delta("Hel"), until_cancelled))
    with process(server, "x", stdout=terminal.end, stderr=terminal.end) as running:
        terminal.until("Hel")
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == ExitCode.INTERRUPTED
    terminal.until("Hel\r\n")


def test_a_full_disk_is_told(server: ScriptedServer) -> None:
    with Path("/dev/full").open("wb") as full, process(server, "x", stdout=full.fileno()) as running:
        _, err = running.communicate(timeout=20)
    assert running.returncode == ExitCode.FAILED
    assert err == b"wizardtpu-client: cannot read or write: No space left on device\n"


def test_an_answer_cannot_command_the_terminal(server: ScriptedServer, terminal: Terminal) -> None:
    server.plays(answer("a\x1b[2Jb\r\n\tc\x07\x9b1m\x7fd"))
    with process(server, "x", stdout=terminal.end):
        terminal.until("d\r\n")
    assert terminal.seen == "a\\x1b[2Jb\r\n\tc\\x07\\x9b1m\\x7fd\r\n"


def test_a_pipe_gets_the_answer_as_it_is(server: ScriptedServer) -> None:
    server.plays(answer("a\x1b[2Jb\r\n"))
    with process(server, "x") as running:
        assert running.communicate(timeout=20) == (b"a\x1b[2Jb\r\n", b"")


def test_an_encoding_that_lacks_a_character(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    server.plays(answer("größer"))
    with process(server, "x") as running:
        assert running.communicate(timeout=20) == (b"gr\\xf6\\xdfer\n", b"")


def test_waiting_is_one_line_that_goes_away(server: ScriptedServer, terminal: Terminal) -> None:
    shown = "\rwaiting: number 3 in the queue, about 2\x1b[K"  # cut to the terminal's 40 columns

    def until_shown(_context: object) -> None:
        terminal.until(shown)

    server.plays(play(queued(3, wait=130), until_shown, queued(2), started(), delta("Hello."), finished()))
    with process(server, "x", stderr=terminal.end) as running:
        out, _ = running.communicate(timeout=20)
    terminal.until("\r\x1b[K")
    assert out == b"Hello.\n"
    assert terminal.seen == f"{shown}\rwaiting: number 2 in the queue\x1b[K\r\x1b[K"


def test_chat_at_a_terminal(server: ScriptedServer, terminal: Terminal) -> None:
    server.plays(HANGING, answer("Hello."))
    ends = {"stdin": terminal.end, "stdout": terminal.end, "stderr": terminal.end}
    with process(server, "chat", **ends) as running:
        terminal.until("> ")
        terminal.type("first\n")
        terminal.until("Hel\r\n")
        running.send_signal(signal.SIGINT)
        terminal.until("Hel\r\n\r\n> ")
        assert server.service.ended.wait(10)
        running.send_signal(signal.SIGINT)
        terminal.type("\n")  # wakes readline, which misses a signal that comes just before it listens
        terminal.type("second\n")
        terminal.until("Hello.\r\n> ")
        terminal.type("\x04")
        assert running.wait(20) == ExitCode.OK


def test_chat_outlives_a_line_that_is_not_text(
    server: ScriptedServer, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    server.plays(answer("Hello."))
    ends = {"stdin": terminal.end, "stdout": terminal.end, "stderr": terminal.end}
    with process(server, "chat", **ends) as running:
        terminal.until("> ")
        terminal.type("caf\udcff\udcfe\n")
        terminal.until("this is not UTF-8 text\r\n> ")
        terminal.type("hi\n")
        terminal.until("Hello.\r\n> ")
        terminal.type("\x04")
        assert running.wait(20) == ExitCode.OK
