"""The conversation: what is remembered, and what its commands do. Lines are piped in, one turn each."""

from __future__ import annotations

from typing import Any

import pytest
from grpc import StatusCode
from wizardtpu.v1 import generation_pb2 as wire
from wizardtpu_client.cli.exit_code import ExitCode

from tests.support.scripted_server import ScriptedServer, answer, delta, play, refuse, started
from tests.unit.client.conftest import Run

SYSTEM, USER, ASSISTANT = wire.ROLE_SYSTEM, wire.ROLE_USER, wire.ROLE_ASSISTANT


def turns(server: ScriptedServer) -> list[list[tuple[wire.Role, str]]]:
    requests: list[Any] = server.service.requests
    return [[(turn.role, turn.content) for turn in request.messages.messages] for request in requests]


def test_each_turn_carries_the_conversation(server: ScriptedServer, run: Run) -> None:
    server.plays(answer("One", "."), answer("Two.\n"))
    outcome = run("chat", piped=b"first\n\n  second \n")
    assert (outcome.code, outcome.out, outcome.err) == (0, "One.\nTwo.\n", "")
    assert turns(server) == [
        [(USER, "first")],
        [(USER, "first"), (ASSISTANT, "One."), (USER, "second")],
    ]


def test_reset_forgets_all_but_the_system_message(server: ScriptedServer, run: Run) -> None:
    run("chat", "--system", "Be brief.", piped=b"first\n/reset\nsecond\n")
    assert turns(server) == [
        [(SYSTEM, "Be brief."), (USER, "first")],
        [(SYSTEM, "Be brief."), (USER, "second")],
    ]


def test_exit_ends_it(server: ScriptedServer, run: Run) -> None:
    assert run("chat", piped=b"/exit\nfirst\n").code == 0
    assert server.service.requests == []


def test_an_unknown_command_is_not_asked(server: ScriptedServer, run: Run) -> None:
    assert "no such command: /quit (there are /reset and /exit)" in run("chat", piped=b"/quit\n").err
    assert server.service.requests == []


def test_a_failed_turn_is_told_and_forgotten(server: ScriptedServer, run: Run) -> None:
    failure = refuse(StatusCode.INTERNAL, "DEVICE_FAILURE", "the device failed")
    server.plays(play(started(), delta("Hel"), failure), answer("Two."))
    outcome = run("chat", piped=b"first\nsecond\n")
    assert (outcome.code, outcome.out, outcome.err) == (0, "Hel\nTwo.\n", "the device failed\n")
    assert turns(server)[1] == [(USER, "second")]


def test_a_conversation_that_is_too_long_has_a_way_on(server: ScriptedServer, run: Run) -> None:
    too_long = play(refuse(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", "too long"))
    server.plays(too_long, answer("One."), too_long)
    outcome = run("chat", piped=b"first\nsecond\nthird\n")
    assert outcome.err == "too long\ntoo long (/reset forgets the conversation)\n"


def test_without_a_daemon_it_says_what_to_do(server: ScriptedServer, run: Run) -> None:
    server.__exit__()
    assert "(is it running? --address or WIZARDTPU_ADDRESS says where)" in run("chat", piped=b"first\n").err


def test_the_exit_code_is_that_of_the_last_turn(server: ScriptedServer, run: Run) -> None:
    server.plays(answer("One."), play(refuse(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", "too long")))
    assert run("chat", piped=b"first\nsecond\n").code == ExitCode.REFUSED


def test_options_hold_for_every_turn(server: ScriptedServer, run: Run) -> None:
    outcome = run("chat", "-v", "-n", "9", piped=b"first\nsecond\n")
    assert [request.stopping.max_new_tokens for request in server.service.requests] == [9, 9]  # type: ignore[attr-defined]
    assert outcome.err.count("11 tokens") == 2


@pytest.mark.parametrize("piped", [b"caf\xe9\n"])
def test_lines_that_are_not_text(run: Run, piped: bytes) -> None:
    outcome = run("chat", piped=piped)
    assert (outcome.code, outcome.err) == (ExitCode.USAGE, "wizardtpu-client: standard input is not UTF-8 text\n")
