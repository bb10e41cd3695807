"""A device that gives nonsense: whoever waits is told, nobody gets an empty answer, and the daemon ends
if there is nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from wizardtpu.v1 import generation_pb2 as wire

from tests.support.conversation import ask, asking, read_until
from tests.support.daemon_process import DaemonProcess
from tests.support.failure import Failure
from tests.support.tampering import replace_file

EMBEDDING = "nets/embedding.onnx"
POISON = 100  # the token whose embedding is not a number


@pytest.fixture
def poisoned_bundle(endless_bundle: Path, tmp_path: Path) -> Path:
    bundle = tmp_path / "bundle"
    shutil.copytree(endless_bundle, bundle)
    model = onnx.load(bundle / EMBEDDING)
    (weights,) = [each for each in model.graph.initializer if each.name == "wte.weight"]
    values = numpy_helper.to_array(weights).copy()
    values[POISON] = np.nan
    weights.CopyFrom(numpy_helper.from_array(values, weights.name))
    replace_file(bundle, EMBEDDING, model.SerializeToString())
    return bundle


def _failure(call: Any) -> Failure:
    with pytest.raises(grpc.RpcError) as caught:
        for _ in call:
            pass
    return Failure.of(caught.value)


def _poisoned(*, logprobs: bool = False) -> wire.GenerateRequest:
    """The poison is in rows that whoever comes next does not write anew."""
    request = wire.GenerateRequest(token_ids=wire.TokenIds(ids=[5] * 200 + [POISON]))
    request.response.logprobs = logprobs
    return request


@pytest.mark.parametrize("on_host", [False, True], ids=["token chosen by the device", "token chosen on the host"])
def test_not_a_number(poisoned_bundle: Path, tmp_path: Path, on_host: bool) -> None:
    """It ends one request, and spoils none that has the same slot afterwards, whose masks cannot hide it."""
    sound = asking("a", max_new_tokens=2)
    with DaemonProcess(poisoned_bundle, tmp_path) as daemon:
        daemon.expected_trouble = {"a request failed"}
        expected = ask(daemon.stub, sound)
        for _ in range(4):
            failure = _failure(daemon.stub.Generate(_poisoned(logprobs=on_host)))
            assert (failure.code, failure.reason) == (grpc.StatusCode.DATA_LOSS, "wizardtpud/NOT_NUMBERS")
            assert "not numbers" in failure.message
            assert ask(daemon.stub, sound).text == expected.text
        scrape = daemon.scrape()
        assert scrape("wizardtpud_not_numbers_total") == 4
        assert scrape.outcomes() == {"failed": 4, "max_tokens": 5}


def test_nothing_but_nonsense(poisoned_bundle: Path, tmp_path: Path) -> None:
    """The third request in a row ends the daemon, and whoever waits is told."""
    with DaemonProcess(poisoned_bundle, tmp_path) as daemon:
        running = daemon.stub.Generate(asking("a"))
        read_until(running, "started")
        calls = []
        for request in (_poisoned(), _poisoned(), _poisoned(), asking("b")):
            calls.append(daemon.stub.Generate(request))
            daemon.wait_until_running(1, queued=len(calls))
        running.cancel()
        *poisoned, waiting = map(_failure, calls)
        assert [failure.reason for failure in poisoned] == ["wizardtpud/NOT_NUMBERS"] * 3
        assert (waiting.code, waiting.reason) == (grpc.StatusCode.INTERNAL, "wizardtpud/DEVICE_FAILURE")
        assert daemon.wait() == 1
        *records, last = daemon.stderr.splitlines()
        assert last.startswith("wizardtpud: 3 requests in a row failed")
        assert "not numbers" in last
        assert not [record for record in records if "Traceback" in record]
