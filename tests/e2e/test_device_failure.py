"""A device that gives nonsense: whoever waits is told, nobody gets an empty answer, and the daemon ends."""

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


@pytest.mark.parametrize("on_host", [False, True], ids=["token chosen by the device", "token chosen on the host"])
def test_not_a_number(poisoned_bundle: Path, tmp_path: Path, on_host: bool) -> None:
    poisoned = wire.GenerateRequest(token_ids=wire.TokenIds(ids=[5, POISON]))
    poisoned.response.logprobs = on_host
    with DaemonProcess(poisoned_bundle, tmp_path) as daemon:
        assert ask(daemon.stub, asking("a", max_new_tokens=2)).reason == "MAX_TOKENS"
        running = daemon.stub.Generate(asking("a"))
        read_until(running, "started")
        calls = [daemon.stub.Generate(request) for request in (poisoned, asking("b"))]
        daemon.wait_until_running(1, queued=2)
        running.cancel()
        for failure in map(_failure, calls):
            assert (failure.code, failure.reason) == (grpc.StatusCode.INTERNAL, "wizardtpud/DEVICE_FAILURE")
            assert "not numbers" in failure.message
        assert daemon.wait() == 1
        *records, last = daemon.stderr.splitlines()
        assert last.startswith("wizardtpud: ")
        assert "not numbers" in last
        assert not [record for record in records if "Traceback" in record]
