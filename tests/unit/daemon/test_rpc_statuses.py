from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from google.rpc import status_pb2
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from wizardtpud import errors
from wizardtpud.errors import InvalidRequestError, RetryableError, WizardtpudError
from wizardtpud.rpc.statuses import ERROR_DOMAIN, Status, status_of

Code = grpc.StatusCode

KINDS: dict[type[WizardtpudError], tuple[grpc.StatusCode, str]] = {
    errors.InvalidRequestError: (Code.INVALID_ARGUMENT, "INVALID_REQUEST"),
    errors.QueueFullError: (Code.RESOURCE_EXHAUSTED, "QUEUE_FULL"),
    errors.LoadingError: (Code.UNAVAILABLE, "LOADING"),
    errors.DrainingError: (Code.UNAVAILABLE, "DRAINING"),
    errors.StoppedError: (Code.UNAVAILABLE, "STOPPED"),
    errors.GreedyOnlyError: (Code.FAILED_PRECONDITION, "GREEDY_ONLY"),
    errors.DeviceHungError: (Code.UNAVAILABLE, "DEVICE_HUNG"),
    errors.SlowReaderError: (Code.ABORTED, "SLOW_READER"),
    errors.NotNumbersError: (Code.DATA_LOSS, "NOT_NUMBERS"),
    errors.DeviceError: (Code.INTERNAL, "DEVICE_FAILURE"),
}
BEFORE_SERVING = {errors.ConfigurationError, errors.BundleError, errors.BmodelError}  # no client is there yet


def kinds(kind: type[WizardtpudError] = WizardtpudError) -> Iterator[type[WizardtpudError]]:
    """The errors that are raised: the leaves of the tree."""
    for below in kind.__subclasses__():
        yield from kinds(below)
    if not kind.__subclasses__():
        yield kind


def example(kind: type[WizardtpudError]) -> WizardtpudError:
    if issubclass(kind, InvalidRequestError):
        return kind("sampling.top_p", "is 2, but must be at most 1")
    if issubclass(kind, RetryableError):
        return kind("come again", 1.5)
    return kind("the chip is gone")


def details(status: Status) -> dict[str, ErrorInfo | BadRequest | RetryInfo]:
    """The details as a client decodes them, by the names of their types."""
    ((key, raw),) = status.trailing_metadata
    assert key == "grpc-status-details-bin"
    rich = status_pb2.Status.FromString(raw)
    assert (rich.code, rich.message) == (status.code.value[0], status.message)
    known = {kind.DESCRIPTOR.full_name: kind for kind in (ErrorInfo, BadRequest, RetryInfo)}
    found = {}
    for packed in rich.details:
        message = known[packed.TypeName()]()
        assert packed.Unpack(message)
        found[type(message).__name__] = message
    return found


def test_every_error_a_client_may_see_has_a_status() -> None:
    assert set(kinds()) - BEFORE_SERVING == set(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_code_and_reason(kind: type[WizardtpudError]) -> None:
    error = example(kind)

    status = status_of(error)

    code, reason = KINDS[kind]
    assert (status.code, status.message) == (code, str(error))
    assert details(status)["ErrorInfo"] == ErrorInfo(domain=ERROR_DOMAIN, reason=reason)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_details_beyond_the_reason(kind: type[WizardtpudError]) -> None:
    found = details(status_of(example(kind)))

    assert ("BadRequest" in found) == issubclass(kind, InvalidRequestError)
    assert ("RetryInfo" in found) == issubclass(kind, RetryableError)


def test_the_field_is_named() -> None:
    bad = details(status_of(InvalidRequestError("sampling.top_p", "is 2")))["BadRequest"]

    violation = BadRequest.FieldViolation(field="sampling.top_p", description="is 2")
    assert bad == BadRequest(field_violations=[violation])


@pytest.mark.parametrize(
    ("seconds", "parts"), [(0.0, (0, 0)), (1.5, (1, 500_000_000)), (3600.25, (3600, 250_000_000))]
)
def test_when_to_come_again(seconds: float, parts: tuple[int, int]) -> None:
    retry = details(status_of(errors.QueueFullError("full", seconds)))["RetryInfo"]

    assert isinstance(retry, RetryInfo)
    assert (retry.retry_delay.seconds, retry.retry_delay.nanos) == parts


def test_an_error_of_no_kind_is_internal() -> None:
    status = status_of(WizardtpudError("the decode loop failed"))

    assert status.code is Code.INTERNAL
    assert details(status)["ErrorInfo"] == ErrorInfo(domain=ERROR_DOMAIN, reason="INTERNAL")
