"""How a request may end."""

from __future__ import annotations

from enum import Enum


class Outcome(Enum):
    """Every way a request ends; the values label ``wizardtpud_requests_total``."""

    END_OF_TEXT = "end_of_text"
    STOP_SEQUENCE = "stop_sequence"
    MAX_TOKENS = "max_tokens"
    CONTEXT_FULL = "context_full"
    CANCELLED = "cancelled"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    SLOW_READER = "slow_reader"
    STOPPED = "stopped"
    FAILED = "failed"
    # Refused before the queue.
    INVALID = "invalid"
    QUEUE_FULL = "queue_full"
    LOADING = "loading"
    DRAINING = "draining"
