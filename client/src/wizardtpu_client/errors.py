"""What can go wrong, as one small tree of exceptions."""
# ruff: noqa: N818 -- the names say what happened; the root says that it is an error

from __future__ import annotations

from dataclasses import dataclass

from grpc import StatusCode


class WizardTPUError(Exception):
    """Any failure of a call to wizardtpud.

    code: the gRPC status code. message: what happened, for a person. reason: wizardtpud's own name of the
    cause in capitals, such as "QUEUE_FULL"; None if the error did not come from wizardtpud itself.
    """

    def __init__(self, message: str, *, code: StatusCode, reason: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason


class ConnectionFailed(WizardTPUError):
    """wizardtpud cannot be reached, or the connection to it was lost."""


@dataclass(frozen=True)
class FieldViolation:
    """What is wrong with one field of a request; `field` is its path, such as "sampling.top_p"."""

    field: str
    description: str


class InvalidRequest(WizardTPUError):
    """The request cannot be served as it is; `violations` names the fields at fault."""

    def __init__(
        self,
        message: str,
        *,
        code: StatusCode = StatusCode.INVALID_ARGUMENT,
        reason: str | None = None,
        violations: tuple[FieldViolation, ...] = (),
    ) -> None:
        super().__init__(message, code=code, reason=reason)
        self.violations = violations


class Unsupported(WizardTPUError):
    """The daemon or its model does not offer what was asked for."""


class Busy(WizardTPUError):
    """Not now, perhaps later; `retry_after` is wizardtpud's advice in seconds, None if it gave none."""

    def __init__(
        self, message: str, *, code: StatusCode, reason: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, code=code, reason=reason)
        self.retry_after = retry_after


class QueueFull(Busy):
    """As many requests wait as wizardtpud lets wait."""


class Loading(Busy):
    """wizardtpud is still loading its model."""


class ShuttingDown(Busy):
    """wizardtpud is being stopped: it takes no new requests, or ended this one."""


class DeadlineExceeded(WizardTPUError):
    """The call's timeout has passed."""


class Cancelled(WizardTPUError):
    """The call was cancelled."""


class SlowReader(WizardTPUError):
    """The stream was ended because its events were not read fast enough."""


class ServerError(WizardTPUError):
    """wizardtpud failed, or answered what this client does not understand."""
