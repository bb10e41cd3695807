"""The command-line client against the real daemon."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from demo.tasks import load_tasks
from wizardtpu.v1 import generation_pb2 as wire

from tests.support.conversation import asking, read_until
from tests.support.daemon_process import DaemonProcess, environment
from tests.support.eventually import PATIENCE

CLIENT = Path(sys.executable).with_name("wizardtpu-client")
QUICKSORT = "write quicksort"


def _run(address: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [CLIENT, "--address", address, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=environment(),
        check=False,
    )


def _answer(address: str, *arguments: str, stdin: str = "") -> str:
    """What it prints; it must end well and have nothing to say beside."""
    run = _run(address, *arguments, stdin=stdin)
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout


@contextmanager
def _started(address: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A client whose output is read as it comes."""
    with subprocess.Popen(
        [CLIENT, "--address", address, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as client:
        try:
            yield client
        finally:
            client.kill()


def _first_bytes(client: subprocess.Popen[bytes]) -> bytes:
    assert client.stdout is not None
    return client.stdout.read(10)


def test_prints_the_answer(daemon: DaemonProcess) -> None:
    answer = _answer(daemon.address, QUICKSORT)
    assert "def quicksort(items):" in answer
    assert answer == _answer(daemon.address, "write", "quicksort")
    assert answer.endswith("\n")


def test_extracted_code_works(daemon: DaemonProcess) -> None:
    code = _answer(daemon.address, "-x", QUICKSORT)
    (task,) = [task for task in load_tasks() if task.name == "quicksort"]
    run = subprocess.run(
        [sys.executable, "-I", "-c", f"{code}\n{task.check}"], capture_output=True, timeout=PATIENCE, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "```" not in code


def test_prints_while_the_answer_is_being_written(endless: DaemonProcess) -> None:
    """An answer that does not end can be seen nevertheless, and Ctrl-C ends it here and there."""
    with _started(endless.address, "a") as client:
        assert len(_first_bytes(client)) == 10
        assert endless.status().running == 1
        client.send_signal(signal.SIGINT)
        _, errors = client.communicate(timeout=PATIENCE)
        assert client.returncode == 130
        assert b"Traceback" not in errors
    assert endless.wait_until_running(0).state == wire.SERVING_STATE_SERVING


def test_reader_that_closes_its_pipe(endless: DaemonProcess) -> None:
    with _started(endless.address, "a") as client:
        _first_bytes(client)
        assert client.stdout is not None
        assert client.stderr is not None
        client.stdout.close()
        assert client.wait(PATIENCE) == 141
        assert client.stderr.read() == b""
    endless.wait_until_running(0)


def test_json(daemon: DaemonProcess) -> None:
    lines = [json.loads(line) for line in _answer(daemon.address, "--json", QUICKSORT).splitlines()]
    kinds = [line["event"] for line in lines]
    assert (kinds[:2], set(kinds[2:-1]), kinds[-1]) == (["queued", "started"], {"delta"}, "finished")
    text = "".join(line["text"] for line in lines if line["event"] == "delta")
    assert text + "\n" == _answer(daemon.address, QUICKSORT)
    assert lines[-1]["usage"]["generated_tokens"] > 50


def test_log_probabilities(daemon: DaemonProcess) -> None:
    output = _answer(daemon.address, "--json", "--logprobs", "3", "-n", "5", QUICKSORT)
    deltas = [line for line in map(json.loads, output.splitlines()) if line["event"] == "delta"]
    tokens = [token for delta in deltas for token in delta["tokens"]]
    assert len(tokens) == 5
    assert all(len(token["alternatives"]) == 3 and token["logprob"] <= 0 for token in tokens)


def test_piped_text_goes_before_the_words(daemon: DaemonProcess) -> None:
    output = _answer(daemon.address, "--json", "-n", "1", "what is this?", stdin="def f(): pass\n")
    started = json.loads(output.splitlines()[1])
    whole = wire.TokenizeRequest(instruction="def f(): pass\n\nwhat is this?")
    assert started["prompt_tokens"] == len(daemon.stub.Tokenize(whole).token_ids)


def test_raw_text_goes_without_template(daemon: DaemonProcess) -> None:
    output = _answer(daemon.address, "--json", "--raw", "-n", "1", "def f():")
    whole = wire.TokenizeRequest(text="def f():")
    assert json.loads(output.splitlines()[1])["prompt_tokens"] == len(daemon.stub.Tokenize(whole).token_ids)


def test_options_reach_the_model(daemon: DaemonProcess) -> None:
    whole = _answer(daemon.address, QUICKSORT)
    assert _answer(daemon.address, "--stop", "def", QUICKSORT).rstrip("\n") == whole.partition("def")[0].rstrip(
        "\n"
    )
    varied = ("-t", "6", "--top-k", "40", "--top-p", "0.98", "-n", "30", QUICKSORT)
    first, again, other = (_answer(daemon.address, "--seed", seed, *varied) for seed in "112")
    assert first == again
    assert first != other


def test_verbose_tells_the_figures(daemon: DaemonProcess) -> None:
    run = _run(daemon.address, "-v", QUICKSORT)
    assert run.returncode == 0
    assert "tokens/s" in run.stderr
    assert "first token" in run.stderr


def test_tells_its_place_in_the_queue(endless: DaemonProcess) -> None:
    blocker = endless.stub.Generate(asking("a"))
    read_until(blocker, "started")
    with _started(endless.address, "-n", "2", "b") as client:
        assert client.stderr is not None
        assert b"number 1 in the queue" in client.stderr.readline()
        blocker.cancel()
        client.communicate(timeout=PATIENCE)
        assert client.returncode == 0


def test_conversation(daemon: DaemonProcess) -> None:
    run = _run(daemon.address, "chat", stdin=f"{QUICKSORT}\nnow binary search\n/exit\n")
    assert run.returncode == 0
    assert "def quicksort(items):" in run.stdout
    assert "def binary_search(" in run.stdout


def test_status_and_model(daemon: DaemonProcess) -> None:
    status = json.loads(_answer(daemon.address, "--json", "status"))
    assert (status["state"], status["slots"]) == ("serving", 1)
    model = json.loads(_answer(daemon.address, "--json", "model"))
    assert model["bundle_digest"] == daemon.stub.GetModel(wire.GetModelRequest()).bundle_digest
    assert "serving" in _answer(daemon.address, "status")
    assert "512 tokens" in _answer(daemon.address, "model")


def test_address_from_the_environment(daemon: DaemonProcess) -> None:
    told = environment(WIZARDTPU_ADDRESS=daemon.address)
    run = subprocess.run(
        [CLIENT, "status"], capture_output=True, text=True, env=told, timeout=PATIENCE, check=True
    )
    assert daemon.address in run.stdout


def test_unix_socket(demo_bundle: Path, tmp_path: Path) -> None:
    with DaemonProcess(demo_bundle, tmp_path, listen=(f"unix:{tmp_path}/socket",)) as daemon:
        assert "def quicksort(items):" in _answer(daemon.address, QUICKSORT)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--top-p", "7", "a"], 4, "sampling.top_p"),
        (["sort " * 600], 4, "tokens"),
        ([], 2, "nothing to ask"),
        (["--temprature", "1", "a"], 2, "--temprature"),
    ],
)
def test_mistakes(daemon: DaemonProcess, arguments: list[str], code: int, said: str) -> None:
    run = _run(daemon.address, *arguments)
    assert run.returncode == code
    assert run.stdout == ""
    assert said in run.stderr
    assert "Traceback" not in run.stderr


def test_nobody_there(tmp_path: Path) -> None:
    run = _run(f"unix:{tmp_path}/nothing", "a")
    assert (run.returncode, run.stdout) == (3, "")
    assert f"no connection to wizardtpud at unix:{tmp_path}/nothing" in run.stderr.splitlines()[-1]
    assert "Traceback" not in run.stderr


def test_timeout(endless: DaemonProcess) -> None:
    run = _run(endless.address, "--timeout", "0.7", "a")
    assert run.returncode == 124
    assert run.stdout, "what had come by then was shown"
    assert "timeout" in run.stderr
    endless.wait_until_running(0)


def test_full_queue(endless_bundle: Path, tmp_path: Path) -> None:
    with DaemonProcess(endless_bundle, tmp_path, "--queue-capacity", "1") as daemon:
        running = daemon.stub.Generate(asking("a"))
        daemon.wait_until_running(1)  # until then it's in the queue itself
        queued = daemon.stub.Generate(asking("a"))
        daemon.wait_until_running(1, queued=1)
        run = _run(daemon.address, "--timeout", "1", "one too many")
        assert run.returncode == 5
        assert "queue is full" in run.stderr
        running.cancel()
        queued.cancel()


def test_failure_in_json(daemon: DaemonProcess) -> None:
    run = _run(daemon.address, "--json", "--top-p", "7", "a")
    error = json.loads(run.stdout)
    assert (error["event"], error["code"]) == ("error", "INVALID_ARGUMENT")
