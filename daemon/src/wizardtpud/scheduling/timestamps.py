"""When a request reached each state, and the durations that follow."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic


@dataclass
class Timestamps:
    """Seconds of the monotonic clock; a state that was not reached has None, and so have its durations."""

    arrived: float = field(default_factory=monotonic)
    admitted: float | None = None
    first_token: float | None = None
    last_token: float | None = None
    ended: float | None = None

    def generated(self) -> None:
        """Notes that a token was chosen just now."""
        self.last_token = monotonic()
        if self.first_token is None:
            self.first_token = self.last_token

    @property
    def queue(self) -> float | None:
        """From arrival until the request got a slot."""
        return _between(self.arrived, self.admitted)

    @property
    def prefill(self) -> float | None:
        """From then until the first token was chosen."""
        return _between(self.admitted, self.first_token)

    @property
    def decode(self) -> float | None:
        """From the first token to the last."""
        return _between(self.first_token, self.last_token)

    @property
    def time_to_first_token(self) -> float | None:
        """From arrival until the first token was chosen."""
        return _between(self.arrived, self.first_token)

    @property
    def total(self) -> float | None:
        """From arrival until the request ended, however it did."""
        return _between(self.arrived, self.ended)


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else end - start
