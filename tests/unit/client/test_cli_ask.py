"""Asking on the command line: what is sent, and how the answer is shown."""

from __future__ import annotations

import json
import time

import pytest
from grpc import StatusCode
from wizardtpu.v1 import generation_pb2 as wire
from wizardtpu_client.cli import waiting

from tests.support.scripted_server import (
    ScriptedServer,
    answer,
    delta,
    finished,
    play,
    queued,
    refuse,
    started,
    until_cancelled,
)
from tests.unit.client.conftest import Run

FENCED = ["Here:\n``", "`python\ndef f():\n", "    pass\n```\n", "It does nothing."]


def asked(server: ScriptedServer) -> wire.GenerateRequest:
    (request,) = server.service.requests
    assert isinstance(request, wire.GenerateRequest)
    return request


def test_the_answer_is_printed_and_its_last_line_ended(server: ScriptedServer, run: Run) -> None:
    server.plays(answer("Hel", "lo."))
    outcome = run("write", "quicksort")
    assert (outcome.code, outcome.out, outcome.err) == (0, "Hello.\n", "")
    assert asked(server).instruction == "write quicksort"


def test_an_ended_line_is_left_alone(server: ScriptedServer, run: Run) -> None:
    server.plays(answer("Hello.\n"))
    assert run("x").out == "Hello.\n"


def test_words_and_options_may_be_mixed(server: ScriptedServer, run: Run) -> None:
    argv = "write -t 0.5 quicksort --top-k 40 --top-p 0.75 in --repetition-penalty 1.25 --seed 3 python -n 9"
    assert run(*argv.split(), "--stop", "a", "--stop=b").code == 0
    assert asked(server) == wire.GenerateRequest(
        instruction="write quicksort in python",
        sampling=wire.SamplingOptions(temperature=0.5, top_k=40, top_p=0.75, repetition_penalty=1.25, seed=3),
        stopping=wire.StoppingOptions(max_new_tokens=9, stop_sequences=["a", "b"]),
        response=wire.ResponseOptions(),
    )


@pytest.mark.parametrize(
    ("argv", "piped", "instruction"),
    [
        (["explain"], b"x = 1\n\n", "x = 1\n\nexplain"),
        ([], b"write quicksort\n", "write quicksort"),
        (["explain"], b" \n", "explain"),
        (["--", "status"], b"", "status"),
        (["a", "--", "--b"], b"", "a --b"),
        (["status", "codes"], b"", "status codes"),
        ([], "größte Zahl".encode(), "größte Zahl"),
    ],
)
def test_the_instruction(
    server: ScriptedServer, run: Run, argv: list[str], piped: bytes, instruction: str
) -> None:
    assert run(*argv, piped=piped).code == 0
    assert asked(server).instruction == instruction


def test_raw_gives_the_text_as_it_is(server: ScriptedServer, run: Run) -> None:
    run("--raw", piped=b"def f():\n")
    assert asked(server).prompt == "def f():\n"


def test_a_system_message_goes_first(server: ScriptedServer, run: Run) -> None:
    run("--system", "Be brief.", "x")
    assert [(turn.role, turn.content) for turn in asked(server).messages.messages] == [
        (wire.ROLE_SYSTEM, "Be brief."),
        (wire.ROLE_USER, "x"),
    ]


def test_extract_prints_the_code_and_stops_the_daemon(server: ScriptedServer, run: Run) -> None:
    server.plays(play(queued(1), started(), *map(delta, FENCED), until_cancelled))
    outcome = run("-x", "x")
    assert (outcome.code, outcome.out) == (0, "def f():\n    pass\n")
    assert server.service.ended.wait(10)


def test_extract_with_figures_reads_to_the_end(server: ScriptedServer, run: Run) -> None:
    server.plays(answer(*FENCED))
    outcome = run("-xv", "x")
    assert outcome.out == "def f():\n    pass\n"
    assert "11 tokens" in outcome.err


def test_extract_without_a_fence(server: ScriptedServer, run: Run) -> None:
    server.plays(answer("Here:\n\nx = 1\n\nThat", " is it."))
    assert run("-x", "x").out == "x = 1\n"


def test_json_has_one_event_per_line(server: ScriptedServer, run: Run) -> None:
    token = wire.Token(id=3, logprob=-0.5, alternatives=[wire.Alternative(id=4, logprob=-1.5)])
    server.plays(play(queued(2, wait=1.5), started(), delta("é\n", token), finished()))
    outcome = run("--json", "--logprobs", "1", "x")
    assert [json.loads(line) for line in outcome.out.splitlines()] == [
        {"event": "queued", "position": 2, "estimated_wait": 1.5, "request_id": "r1"},
        {"event": "started", "prompt_tokens": 7, "reused_tokens": 2, "seed": 42},
        {
            "event": "delta",
            "text": "é\n",
            "tokens": [{"id": 3, "logprob": -0.5, "alternatives": [{"id": 4, "logprob": -1.5}]}],
        },
        {
            "event": "finished",
            "reason": "end_of_text",
            "usage": {"prompt_tokens": 7, "reused_tokens": 2, "generated_tokens": 11},
            "seed": 42,
            "timings": {"queue": 0.25, "prefill": 0.5, "decode": 2.0, "time_to_first_token": 0.75},
            "stop_sequence": "",
        },
    ]
    assert asked(server).response == wire.ResponseOptions(logprobs=True, top_logprobs=1)


def test_verbose_tells_the_figures(server: ScriptedServer, run: Run) -> None:
    outcome = run("-v", "x")
    assert outcome.out == "Hello.\n"
    assert outcome.err == (
        "11 tokens, 5.0 tokens/s, first token after 0.750 s; queue 0.250 s, prefill 0.500 s, decode 2.000 s\n"
        "ended by end of text; prompt of 7 tokens (2 reused), seed 42\n"
    )


def test_waiting_is_told_only_when_it_lasts(
    server: ScriptedServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "PATIENCE", 60.0)
    server.plays(play(queued(3, wait=130), started(), delta("Hello."), finished()))
    assert run("x").err == ""


def test_waiting_is_told_line_by_line_without_a_terminal(
    server: ScriptedServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "PATIENCE", 0.05)
    moving_up = [queued(2, wait=12), queued(2, wait=12), queued(1)]
    server.plays(play(queued(3, wait=130), _try_patience, *moving_up, started(), delta("Hello."), finished()))
    outcome = run("x")
    assert outcome.out == "Hello.\n"
    assert outcome.err.splitlines() == [
        "waiting: number 3 in the queue, about 2 min to wait",
        "waiting: number 2 in the queue, about 12 s to wait",
        "waiting: number 1 in the queue",
    ]


def test_a_retry_is_told(server: ScriptedServer, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "PATIENCE", 0.0)
    full = refuse(StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", "the queue is full", retry_after=0.3)
    server.plays(play(full), answer("Hello."))
    outcome = run("x")
    assert (outcome.code, outcome.out) == (0, "Hello.\n")
    assert outcome.err.startswith("trying again in 0.")


def _try_patience(_context: object) -> None:
    time.sleep(10 * waiting.PATIENCE)
