"""The commands beside asking, and command lines that make no sense."""

from __future__ import annotations

import json

import pytest
from grpc import StatusCode
from wizardtpu.v1 import generation_pb2 as wire
from wizardtpu_client.cli.exit_code import ExitCode

from tests.support.scripted_server import ScriptedServer, delta, play, queued, refuse, started, until_cancelled
from tests.unit.client.conftest import Run


def test_status(server: ScriptedServer, run: Run) -> None:
    outcome = run("status")
    assert outcome.code == 0
    assert outcome.out.startswith(
        f"wizardtpud 0.1.0 at {server.address}: serving\nqueue     0 of 16 places taken\n"
    )


def test_status_json(run: Run) -> None:
    assert json.loads(run("status", "--json").out) == {
        "state": "serving",
        "version": "0.1.0",
        "started_at": "2023-11-14T22:13:20+00:00",
        "queue_depth": 0,
        "queue_capacity": 16,
        "running": 0,
        "slots": 0,
        "finished_requests": 0,
        "generated_tokens": 0,
        "devices": [],
    }


DEVICE = wire.DeviceStatus(
    device=2,
    source="pcie",
    utilization=0.97,
    memory_used=9 * 2**30,
    memory_total=15 * 2**30,
    chip_temperature=54,
    board_temperature=47,
    tpu_power=23.4,
    board_power=31,
    tpu_clock=950e6,
    fault=False,
    driver_version="0.5.1",
)
LINE = (
    "device 2  97% busy, 9.0 of 15.0 GiB, chip 54 °C, board 47 °C, TPU 23 W, board 31 W, "
    "clock 950 MHz, driver 0.5.1"
)


@pytest.mark.parametrize(
    ("device", "line"),
    [
        (DEVICE, LINE),
        (wire.DeviceStatus(utilization=0.0, tpu_power=0.0), "device 0  0% busy, TPU 0 W"),
        (wire.DeviceStatus(fault=True, chip_temperature=95), "device 0  FAULT, chip 95 °C"),
        (wire.DeviceStatus(device=1), "device 1  says nothing of itself"),
    ],
)
def test_status_has_a_line_for_each_device(
    server: ScriptedServer, run: Run, device: wire.DeviceStatus, line: str
) -> None:
    server.service.devices = [device, wire.DeviceStatus(device=9)]
    assert run("status").out.splitlines()[-2:] == [line, "device 9  says nothing of itself"]


def test_status_json_has_null_for_what_a_device_does_not_say(server: ScriptedServer, run: Run) -> None:
    server.service.devices = [wire.DeviceStatus(utilization=0.25, memory_used=0, memory_total=2**40)]
    assert json.loads(run("status", "--json").out)["devices"] == [
        {
            "device": 0,
            "source": None,
            "utilization": 0.25,
            "memory_used": 0,
            "memory_total": 2**40,
            "chip_temperature": None,
            "board_temperature": None,
            "tpu_power": None,
            "board_power": None,
            "tpu_clock": None,
            "fault": None,
            "driver_version": None,
            "library_version": None,
        }
    ]


def test_model(run: Run) -> None:
    assert run("model").out.startswith("model       demo (gpt_bigcode, f32)\n")
    assert json.loads(run("--json", "model").out)["context_length"] == 512


def test_help_teaches(run: Run) -> None:
    outcome = run("--help")
    assert outcome.code == 0
    assert 'wizardtpu-client "write quicksort"' in outcome.out
    for code in ExitCode:
        assert f"\n  {code.value:<3}  " in outcome.out


def test_version(run: Run) -> None:
    assert run("--version").out == "wizardtpu-client 0.1.0\n"


@pytest.mark.parametrize(
    ("argv", "piped", "message"),
    [
        ([], b"", "nothing to ask: give an instruction"),
        ([], b"\n \n", "nothing to ask"),
        (["x"], b"caf\xe9", "standard input is not UTF-8 text (byte 3 is 0xe9)"),
        (["--nonsense"], b"", "unrecognized arguments: --nonsense"),
        (["--temperature", "hot", "x"], b"", "argument -t/--temperature: invalid float value: 'hot'"),
        (["--timeout", "0", "x"], b"", "0 is not a number of seconds above 0"),
        (["--timeout", "nan", "x"], b"", "nan is not a number of seconds above 0"),
        (["--timeout", "soon", "x"], b"", "soon is not a number of seconds"),
        (["--address", "nowhere", "x"], b"", "address 'nowhere' is neither host:port"),
        (["--address", "unix://run/socket", "x"], b"", "address 'unix://run/socket' is neither"),
        (["-x", "--json", "x"], b"", "not allowed with argument"),
        (["--raw", "--system", "s", "x"], b"", "--raw gives the model the text as it is"),
        (["--logprobs", "2", "x"], b"", "--logprobs are shown only with --json"),
        (["-t", "0", "status"], b"", "--temperature has no meaning for status"),
        (["--raw", "chat"], b"", "--raw has no meaning for chat"),
    ],
)
def test_what_cannot_be_used(
    server: ScriptedServer, run: Run, argv: list[str], piped: bytes, message: str
) -> None:
    outcome = run(*argv, piped=piped)
    assert (outcome.code, outcome.out) == (ExitCode.USAGE, "")
    assert message in outcome.err
    assert server.service.requests == []


@pytest.mark.parametrize(
    ("code", "reason", "exit_code"),
    [
        (StatusCode.INTERNAL, "DEVICE_FAILURE", ExitCode.FAILED),
        (StatusCode.ABORTED, "SLOW_READER", ExitCode.FAILED),
        (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", ExitCode.REFUSED),
        (StatusCode.FAILED_PRECONDITION, "UNSUPPORTED", ExitCode.REFUSED),
        (StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", ExitCode.BUSY),
        (StatusCode.UNAVAILABLE, "DRAINING", ExitCode.BUSY),
        (StatusCode.UNAVAILABLE, "STOPPED", ExitCode.BUSY),
    ],
)
def test_exit_codes(server: ScriptedServer, run: Run, code: StatusCode, reason: str, exit_code: ExitCode) -> None:
    server.plays(play(queued(1), started(), delta("Hel"), refuse(code, reason, "because of this")))
    outcome = run("x")
    assert (outcome.code, outcome.out) == (exit_code, "Hel\n")
    assert outcome.err == "wizardtpu-client: because of this\n"


def test_exit_code_without_a_daemon(server: ScriptedServer, run: Run) -> None:
    server.__exit__()
    outcome = run("status")
    assert outcome.code == ExitCode.NO_CONNECTION
    assert f"no connection to wizardtpud at {server.address}: Connection refused (is it running?" in outcome.err


def test_exit_code_of_a_timeout(server: ScriptedServer, run: Run) -> None:
    server.plays(play(queued(1), until_cancelled))
    outcome = run("--timeout", "0.2", "x")
    assert outcome.code == ExitCode.TIMEOUT
    assert "within the timeout" in outcome.err


def test_json_tells_errors_too(server: ScriptedServer, run: Run) -> None:
    server.plays(play(refuse(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", "too hot")))
    outcome = run("--json", "x")
    assert outcome.code == ExitCode.REFUSED
    assert json.loads(outcome.out) == {
        "event": "error",
        "code": "INVALID_ARGUMENT",
        "reason": "INVALID_REQUEST",
        "message": "too hot",
    }


def test_a_value_that_fits_no_field_is_refused(run: Run) -> None:
    outcome = run("--seed", "-1", "x")
    assert outcome.code == ExitCode.REFUSED
    assert "sampling.seed" in outcome.err
