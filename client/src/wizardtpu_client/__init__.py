"""Client of wizardtpud, the daemon that answers programming questions on a TPU.

with wizardtpu_client.Client() as client:
    for delta in client.generate("write quicksort"):
        print(delta.text, end="", flush=True)
"""

from wizardtpu_client.async_client import AsyncClient
from wizardtpu_client.client import Client
from wizardtpu_client.errors import (
    Busy,
    Cancelled,
    ConnectionFailed,
    DeadlineExceeded,
    FieldViolation,
    InvalidRequest,
    Loading,
    QueueFull,
    ServerError,
    ShuttingDown,
    SlowReader,
    Unsupported,
    WizardTPUError,
)
from wizardtpu_client.events import (
    Alternative,
    Delta,
    Event,
    Finished,
    FinishReason,
    Queued,
    Started,
    Timings,
    Token,
    Usage,
)
from wizardtpu_client.request import Message
from wizardtpu_client.retry import Retry
from wizardtpu_client.server import DeviceStatus, Model, ServingState, Status, Tokens
from wizardtpu_client.stream import AsyncGenerationStream, GenerationStream

__all__ = [
    "Alternative",
    "AsyncClient",
    "AsyncGenerationStream",
    "Busy",
    "Cancelled",
    "Client",
    "ConnectionFailed",
    "DeadlineExceeded",
    "Delta",
    "DeviceStatus",
    "Event",
    "FieldViolation",
    "FinishReason",
    "Finished",
    "GenerationStream",
    "InvalidRequest",
    "Loading",
    "Message",
    "Model",
    "QueueFull",
    "Queued",
    "Retry",
    "ServerError",
    "ServingState",
    "ShuttingDown",
    "SlowReader",
    "Started",
    "Status",
    "Timings",
    "Token",
    "Tokens",
    "Unsupported",
    "Usage",
    "WizardTPUError",
]
