"""When a failed call is tried again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from wizardtpu_client.errors import Busy, ConnectionFailed, WizardTPUError


@dataclass(frozen=True)
class Retry:
    """Exponential backoff with jitter, only for failures after which the same call may succeed.

    These are ConnectionFailed and Busy (with its subclasses), and for a stream only as long as it brought
    nothing but Queued. The n-th wait is `initial * multiplier**n` seconds, at most `maximum`, times a random
    factor in [0.5, 1], plus what wizardtpud advises. If that advice is longer than `maximum` or than the
    time the call has left, the error is raised at once.
    """

    attempts: int = 4
    """How often a call is made at most; 1 never retries."""
    initial: float = 0.1
    multiplier: float = 2.0
    maximum: float = 10.0
    on_wait: Callable[[WizardTPUError, float], None] | None = None
    """Called before each wait with the error and the seconds to wait."""


class Attempts:
    """The attempts of one call: how much time they have left, and whether there is to be another."""

    def __init__(self, retry: Retry, timeout: float | None) -> None:
        self._retry = retry
        self._failed = 0
        self._deadline = None if timeout is None else time.monotonic() + timeout

    def time_left(self) -> float | None:
        """Seconds until the deadline, never negative; None if there is no deadline."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def wait_after(self, failure: WizardTPUError) -> float:
        """Seconds to wait before the next attempt. Raises `failure` if there is to be none."""
        wait = self._wait(failure)
        self._failed += 1
        if wait is None or self._failed >= self._retry.attempts:
            raise failure
        left = self.time_left()
        if left is not None and wait >= left:
            raise failure
        if self._retry.on_wait:
            self._retry.on_wait(failure, wait)
        return wait

    def _wait(self, failure: WizardTPUError) -> float | None:
        if not isinstance(failure, ConnectionFailed | Busy):
            return None
        advised = (failure.retry_after or 0.0) if isinstance(failure, Busy) else 0.0
        if advised > self._retry.maximum:
            return None
        backoff = min(self._retry.maximum, self._retry.initial * self._retry.multiplier**self._failed)
        return advised + backoff * random.uniform(0.5, 1.0)  # noqa: S311 -- spreads clients, keeps no secret
