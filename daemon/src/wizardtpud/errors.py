"""The daemon's exceptions: one small tree, mapped to gRPC statuses in one place (`rpc.statuses`)."""

from __future__ import annotations


class WizardtpudError(Exception):
    """Root of everything the daemon raises on purpose; its text is meant for a person."""


class ConfigurationError(WizardtpudError):
    """A configuration file, flag or environment variable is wrong."""


class BundleError(WizardtpudError):
    """A bundle is missing, damaged, foreign or does not fit the device."""


class BmodelError(BundleError):
    """A file is not the bmodel it should be."""


class DeviceError(WizardtpudError):
    """The device, or the library that drives it, failed."""


class NotNumbersError(WizardtpudError):
    """The model gave logits that are not numbers, so that nothing can follow."""


class InvalidRequestError(WizardtpudError):
    """A request that can never be served.

    Attributes:
        field: path of the offending field as the wire names it, such as ``sampling.top_p``.
    """

    def __init__(self, field: str, description: str) -> None:
        super().__init__(f"{field}: {description}")
        self.field = field
        self.description = description


class GreedyOnlyError(WizardtpudError):
    """A request for something other than the most likely tokens, of a model whose networks give no more."""


class RetryableError(WizardtpudError):
    """A request that may succeed later.

    Attributes:
        retry_after: seconds after which trying again makes sense.
    """

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QueueFullError(RetryableError):
    """The queue holds as many requests as it may."""


class LoadingError(RetryableError):
    """The model is not loaded yet."""


class DrainingError(RetryableError):
    """The daemon is stopping and takes no new requests."""


class StoppedError(RetryableError):
    """The daemon stopped before a request was finished, or the model loaded."""


class DeviceHungError(RetryableError):
    """The device does not come to the end of a step. The thread that waits for it cannot be ended."""


class SlowReaderError(WizardtpudError):
    """The client did not read its stream as fast as the model wrote it, for longer than the buffer lasts."""
