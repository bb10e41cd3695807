"""What the daemon refuses with arrives as a typed error, whatever else the process has loaded."""

from __future__ import annotations

import grpc
import pytest
import wizardtpu_client as w
from grpc import StatusCode
from wizardtpu_client._details import Details, details_of

from tests.support.scripted_server import ScriptedServer, play, refuse

KINDS = [
    (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", w.InvalidRequest),
    (StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", w.QueueFull),
    (StatusCode.UNAVAILABLE, "DRAINING", w.ShuttingDown),
    (StatusCode.UNAVAILABLE, "STOPPED", w.ShuttingDown),
    (StatusCode.UNAVAILABLE, "LOADING", w.Loading),
    (StatusCode.UNAVAILABLE, "SOMETHING_NEW", w.Busy),
    (StatusCode.ABORTED, "SLOW_READER", w.SlowReader),
    (StatusCode.FAILED_PRECONDITION, "UNSUPPORTED", w.Unsupported),
    (StatusCode.DEADLINE_EXCEEDED, "DEADLINE", w.DeadlineExceeded),
    (StatusCode.CANCELLED, "CANCELLED", w.Cancelled),
    (StatusCode.INTERNAL, "DEVICE_FAILURE", w.ServerError),
    (StatusCode.INTERNAL, "INTERNAL", w.ServerError),
]


@pytest.mark.parametrize(("code", "reason", "kind"), KINDS)
def test_each_reason_has_its_error(
    server: ScriptedServer, code: StatusCode, reason: str, kind: type[w.WizardTPUError]
) -> None:
    server.plays(play(refuse(code, reason, "because")))
    with w.Client(server.address, retry=w.Retry(attempts=1)) as client, pytest.raises(w.WizardTPUError) as caught:
        client.generate("x").text()
    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.reason, str(caught.value)) == (code, reason, "because")
    assert isinstance(caught.value.__cause__, grpc.RpcError)


def test_invalid_request_names_the_field(server: ScriptedServer, client: w.Client) -> None:
    server.plays(
        play(refuse(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", "too hot", field="sampling.temperature"))
    )
    with pytest.raises(w.InvalidRequest) as caught:
        client.generate("x").text()
    assert caught.value.violations == (w.FieldViolation("sampling.temperature", "too hot"),)


def test_what_is_too_large_for_grpc_is_the_request_s_fault(client: w.Client) -> None:
    with pytest.raises(w.InvalidRequest, match=r"^gRPC cannot carry this: .*larger than max"):
        client.generate("x" * (5 << 20)).text()


def test_unary_calls_raise_the_same_errors(server: ScriptedServer, client: w.Client) -> None:
    server.service.unary = refuse(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", field="text")
    with pytest.raises(w.InvalidRequest) as caught:
        client.tokenize("x")
    assert caught.value.violations[0].field == "text"


def test_busy_tells_when_to_come_back(server: ScriptedServer) -> None:
    server.plays(play(refuse(StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", retry_after=0.25)))
    with w.Client(server.address, retry=w.Retry(attempts=1)) as client, pytest.raises(w.QueueFull) as caught:
        client.generate("x").text()
    assert caught.value.retry_after == 0.25


def test_a_reason_of_another_domain_is_not_ours(server: ScriptedServer) -> None:
    server.plays(play(refuse(StatusCode.UNAVAILABLE, "LOADING", domain="proxy.example")))
    with (
        w.Client(server.address, retry=w.Retry(attempts=1)) as client,
        pytest.raises(w.ConnectionFailed) as caught,
    ):
        client.generate("x").text()
    assert caught.value.reason is None


def test_a_stream_without_its_end_is_an_error(server: ScriptedServer, client: w.Client) -> None:
    server.plays(play())
    with pytest.raises(w.ServerError, match="before the answer was complete"):
        client.generate("x").text()


def test_nobody_listens(server: ScriptedServer) -> None:
    server.__exit__()
    retry = w.Retry(attempts=1)
    with w.Client(server.address, retry=retry) as client, pytest.raises(w.ConnectionFailed) as caught:
        client.status()
    assert caught.value.code is StatusCode.UNAVAILABLE
    assert str(caught.value) == f"no connection to wizardtpud at {server.address}: Connection refused"


@pytest.mark.parametrize("trailer", [b"\xff\xff\xff", b""])
def test_damaged_details_are_no_details(trailer: bytes) -> None:
    assert details_of([("grpc-status-details-bin", trailer)]) == Details()
