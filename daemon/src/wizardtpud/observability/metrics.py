"""Prometheus metrics of the request path, named as https://prometheus.io/docs/practices/naming/ asks."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib.metadata import version
from typing import Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

from wizardtpud.observability.outcome import Outcome

# Seconds. A request lasts from a few steps of a small model on a CPU (about 1 ms each) to thousands of steps
# of a large one on the chip (about 0.2 s each); steps and first tokens are resolved more finely than answers.
_STEP_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.175, 0.2, 0.225, 0.25, 0.3, 0.5, 1, 2)
_PREFILL_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1, 1.5, 2, 4, 8, 16, 32)
_WAIT_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 12, 30, 60, 120, 300, 600, 1800)


class Durations(Protocol):
    """Where the time of a request went, in seconds; a part that was not reached is None."""

    @property
    def queue(self) -> float | None: ...
    @property
    def prefill(self) -> float | None: ...
    @property
    def decode(self) -> float | None: ...
    @property
    def time_to_first_token(self) -> float | None: ...
    @property
    def total(self) -> float | None: ...


class Metrics:
    """The daemon's metrics, in a registry of their own.

    Nothing here is called per token: finished requests are recorded once, and the gauges ask when scraped.

    Attributes:
        registry: what `observability.exposition` serves.
    """

    def __init__(self) -> None:
        # The library would add a series with the time of creation to every counter and histogram.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        build = Info("wizardtpud_build", "The running daemon.", registry=self.registry)
        build.info({"version": version("wizardtpud"), "python": platform.python_version()})
        self._make_counters()
        self._make_histograms()

    def observe_scheduler(
        self, *, queue_depth: Callable[[], float], queue_capacity: int, running: Callable[[], float], slots: int
    ) -> None:
        """Add the gauges; the callables are called by the thread of each scrape."""
        self._gauge("queue_depth", "Requests that wait for a slot.").set_function(queue_depth)
        self._gauge("queue_capacity", "Requests that may wait.").set(queue_capacity)
        self._gauge("requests_running", "Requests that hold a slot.").set_function(running)
        self._gauge("slots", "Requests the device can serve at a time.").set(slots)

    def model_loaded(self, seconds: float, /, **labels: str) -> None:
        """Add what was loaded, as labels of ``wizardtpud_model_info``, and how long it took."""
        self._gauge("model_load_seconds", "How long loading the model took.").set(seconds)
        Info("wizardtpud_model", "The resident model.", registry=self.registry).info(labels)

    def request_refused(self, outcome: Outcome) -> None:
        """Record a request that never entered the queue."""
        self._requests.labels(outcome.value).inc()

    def not_numbers(self) -> None:
        """Count a request that ended because the model's logits were not numbers."""
        self._not_numbers.inc()

    def request_ended(
        self, outcome: Outcome, durations: Durations, *, prompt_tokens: int, generated_tokens: int
    ) -> None:
        """Record a request that entered the queue, however it ended.

        Args:
            outcome: how.
            durations: where its time went.
            generated_tokens: the end-of-text token included.
            prompt_tokens: 0 unless the device has seen the prompt.
        """
        self._requests.labels(outcome.value).inc()
        self._prompt_tokens.inc(prompt_tokens)
        self._generated_tokens.inc(generated_tokens)
        _observe(self._queue, durations.queue)
        _observe(self._prefill, durations.prefill)
        _observe(self._decode, durations.decode)
        _observe(self._time_to_first_token, durations.time_to_first_token)
        _observe(self._request, durations.total)
        if durations.decode is not None and generated_tokens > 1:
            self._time_per_output_token.observe(durations.decode / (generated_tokens - 1))

    def _make_counters(self) -> None:
        registry = self.registry
        self._requests = Counter(
            "wizardtpud_requests", "Requests by how they ended.", ["outcome"], registry=registry
        )
        for outcome in Outcome:  # a series must exist before its first event for rate() to see that event
            self._requests.labels(outcome.value)
        self._prompt_tokens = Counter(
            "wizardtpud_prompt_tokens", "Prompt tokens given to the device.", registry=registry
        )
        self._generated_tokens = Counter("wizardtpud_generated_tokens", "Tokens generated.", registry=registry)
        self._not_numbers = Counter(
            "wizardtpud_not_numbers", "Requests that ended because logits were not numbers.", registry=registry
        )

    def _make_histograms(self) -> None:
        self._queue = self._histogram("queue_duration", "From arrival until a slot was free.", _WAIT_BUCKETS)
        self._prefill = self._histogram("prefill_duration", "From then until the first token.", _PREFILL_BUCKETS)
        self._decode = self._histogram("decode_duration", "From the first token to the last.", _WAIT_BUCKETS)
        self._time_to_first_token = self._histogram(
            "time_to_first_token", "From arrival until the first token.", _WAIT_BUCKETS
        )
        self._time_per_output_token = self._histogram(
            "time_per_output_token", "Mean time of an answer's tokens after the first.", _STEP_BUCKETS
        )
        self._request = self._histogram("request_duration", "From arrival until the end.", _WAIT_BUCKETS)

    def _gauge(self, name: str, documentation: str) -> Gauge:
        return Gauge(f"wizardtpud_{name}", documentation, registry=self.registry)

    def _histogram(self, name: str, documentation: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"wizardtpud_{name}_seconds", documentation, buckets=buckets, registry=self.registry)


def _observe(histogram: Histogram, seconds: float | None) -> None:
    if seconds is not None:
        histogram.observe(seconds)
