"""What one turn of a measurement gave."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Lap:
    """Tokens generated for some streams, and the time that took.

    Attributes:
        tokens: all of them.
        decoded: those after the first one of each stream.
        seconds: from the first request to the last token.
        decode_seconds: from when every stream had its first token to the last token.
        cpu_seconds: processor time, of all cores, of the process that generated.
        messages: events with text that a client received.
    """

    tokens: int = 0
    decoded: int = 0
    seconds: float = 0.0
    decode_seconds: float = 0.0
    cpu_seconds: float = 0.0
    messages: int = 0

    def __add__(self, other: Lap) -> Lap:
        return Lap(
            self.tokens + other.tokens,
            self.decoded + other.decoded,
            self.seconds + other.seconds,
            self.decode_seconds + other.decode_seconds,
            self.cpu_seconds + other.cpu_seconds,
            self.messages + other.messages,
        )

    @property
    def rate(self) -> float:
        """Tokens a second, reading the prompts included."""
        return self.tokens / self.seconds

    @property
    def decode_rate(self) -> float:
        """Tokens a second once the prompts have been read."""
        return self.decoded / self.decode_seconds
