"""Clients that know nothing of the project: they ask for health, and learn the protocol by reflection."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.support import health, reflection_client
from tests.support.daemon_process import DaemonProcess, environment
from tests.support.eventually import PATIENCE
from tests.support.failure import Failure
from tests.support.requirement import require

SERVICE = reflection_client.SERVICE
PROTO = Path(__file__).parents[2] / "proto"
QUESTIONS = ("write quicksort", "now binary search")


def _check_conversation(answers: list[str]) -> None:
    first, second = answers
    assert "def quicksort(" in first
    assert "def binary_search(" in second


@pytest.mark.parametrize("service", ["", SERVICE])
def test_health(daemon: DaemonProcess, service: str) -> None:
    channel = daemon.channel()
    assert health.check(channel, service) == "SERVING"
    assert next(health.watch(channel, service)) == "SERVING"


def test_health_of_an_unknown_service(daemon: DaemonProcess) -> None:
    channel = daemon.channel()
    with pytest.raises(grpc.RpcError) as caught:
        health.check(channel, "nobody.v1.Knows")
    assert Failure.of(caught.value).code is grpc.StatusCode.NOT_FOUND
    assert next(health.watch(channel, "nobody.v1.Knows")) == "SERVICE_UNKNOWN"


def test_unknown_method(daemon: DaemonProcess) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        daemon.channel().unary_unary(f"/{SERVICE}/Degenerate", bytes, bytes)(b"", timeout=PATIENCE)
    assert Failure.of(caught.value).code is grpc.StatusCode.UNIMPLEMENTED


def test_conversation_by_reflection(daemon: DaemonProcess) -> None:
    command = [sys.executable, reflection_client.__file__, daemon.address, *QUESTIONS]
    run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment(), check=False)
    assert run.returncode == 0, run.stderr
    _check_conversation(json.loads(run.stdout))


class Buf:
    """`buf curl`, a client of gRPC that is written in Go."""

    def __init__(self, address: str) -> None:
        npx = shutil.which("npx")
        require(npx, "npx, which comes with node")
        require((PROTO / "node_modules" / ".bin" / "buf").exists(), "buf: run make buf")
        options = ["--protocol", "grpc", "--http2-prior-knowledge"]
        self._command = [str(npx), "--no-install", "buf", "curl", *options]
        self._url = f"http://{address}/"

    def call(self, method: str, request: object) -> tuple[int, list[dict[str, Any]], str]:
        """Its exit code, the messages it received, and what it says on standard error."""
        data = ["-d", json.dumps(request), f"{self._url}{method}"]
        run = subprocess.run(
            [*self._command, *data], cwd=PROTO, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        return run.returncode, list(_documents(run.stdout)), run.stderr


def _documents(text: str) -> list[dict[str, Any]]:
    """JSON documents that follow one another."""
    documents, decoder = [], json.JSONDecoder()
    while text := text.lstrip():
        document, end = decoder.raw_decode(text)
        documents.append(document)
        text = text[end:]
    return documents


def test_conversation_of_a_foreign_client(daemon: DaemonProcess) -> None:
    buf = Buf(daemon.address)
    messages: list[dict[str, str]] = []
    for question in QUESTIONS:
        messages.append({"role": "ROLE_USER", "content": question})
        code, events, errors = buf.call(f"{SERVICE}/Generate", {"messages": {"messages": messages}})
        assert code == 0, errors
        kinds = [next(iter(event)) for event in events]
        assert (kinds[:2], set(kinds[2:-1]), kinds[-1]) == (["queued", "started"], {"delta"}, "finished")
        answer = "".join(event["delta"].get("text", "") for event in events[2:-1])
        messages.append({"role": "ROLE_ASSISTANT", "content": answer})
    _check_conversation([message["content"] for message in messages[1::2]])


def test_error_details_reach_a_foreign_client(daemon: DaemonProcess) -> None:
    buf = Buf(daemon.address)
    code, events, errors = buf.call(f"{SERVICE}/Generate", {"instruction": "a", "sampling": {"topP": 2}})
    assert code != 0
    assert events == []
    assert '"code": "invalid_argument"' in errors
    assert "sampling.top_p" in errors
    assert "google.rpc.BadRequest" in errors
