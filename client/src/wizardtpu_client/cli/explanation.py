"""An error in the words of the command line: the cause, and what to do about it."""

from __future__ import annotations

from wizardtpu_client.address import ENVIRONMENT
from wizardtpu_client.errors import ConnectionFailed, WizardTPUError


def explain(error: WizardTPUError) -> str:
    if isinstance(error, ConnectionFailed):
        return f"{error.message} (is it running? --address or {ENVIRONMENT} says where)"
    return error.message
