from __future__ import annotations

import socket
import struct
import threading
import urllib.request
from dataclasses import dataclass

import pytest
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from wizardtpud.errors import ConfigurationError
from wizardtpud.observability import exposition as exposition_module
from wizardtpud.observability.exposition import Exposition
from wizardtpud.observability.metrics import Metrics
from wizardtpud.observability.outcome import Outcome

from tests.support.eventually import PATIENCE, eventually


@dataclass
class Durations:
    queue: float | None = None
    prefill: float | None = None
    decode: float | None = None
    time_to_first_token: float | None = None
    total: float | None = None


HISTOGRAMS = (
    "queue_duration",
    "prefill_duration",
    "decode_duration",
    "time_to_first_token",
    "time_per_output_token",
    "request_duration",
)


@pytest.fixture
def metrics() -> Metrics:
    metrics = Metrics()
    metrics.observe_scheduler(queue_depth=lambda: 0, queue_capacity=64, running=lambda: 0, slots=1)
    metrics.model_loaded(1.5, name="demo", quantization="int8")
    return metrics


def families(metrics: Metrics) -> dict[str, Metric]:
    text = generate_latest(metrics.registry).decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"wizardtpud_{name}", labels)


def counts(metrics: Metrics) -> dict[str, float | None]:
    return {name: value(metrics, f"{name}_seconds_count") for name in HISTOGRAMS}


def test_names_follow_the_prometheus_naming_guide(metrics: Metrics) -> None:
    for name, family in families(metrics).items():
        assert name.startswith(("wizardtpud_", "process_")), name
        assert family.documentation, name
        assert not name.endswith(("_count", "_sum", "_bucket", "_created")), name
        assert not {"milliseconds", "ms", "minutes", "kilobytes"} & set(name.split("_")), name
        if family.type == "counter":
            assert all(sample.name.endswith("_total") for sample in family.samples), name
        else:
            assert not name.endswith("_total"), name
        if family.type == "histogram":
            assert name.endswith("_seconds"), name


def test_all_metrics_are_there_before_the_first_request(metrics: Metrics) -> None:
    names = {name.removeprefix("wizardtpud_") for name in families(metrics) if name.startswith("wizardtpud_")}

    assert names == {
        "queue_depth", "queue_capacity", "requests_running", "slots",
        "requests", "prompt_tokens", "generated_tokens", "not_numbers",
        "model_load_seconds", "model_info", "build_info",
        *(f"{name}_seconds" for name in HISTOGRAMS),
    }  # fmt: skip
    assert {value(metrics, "requests_total", outcome=outcome.value) for outcome in Outcome} == {0.0}
    model = {"name": "demo", "quantization": "int8"}
    assert metrics.registry.get_sample_value("wizardtpud_model_info", model) == 1
    assert metrics.registry.get_sample_value("process_resident_memory_bytes")


def test_gauges_ask_when_scraped() -> None:
    metrics, queue = Metrics(), [1]
    metrics.observe_scheduler(queue_depth=lambda: len(queue), queue_capacity=64, running=lambda: 1, slots=2)
    assert value(metrics, "queue_depth") == 1

    queue += [2, 3]

    assert value(metrics, "queue_depth") == 3
    assert value(metrics, "queue_capacity") == 64
    assert value(metrics, "requests_running") == 1
    assert value(metrics, "slots") == 2


def test_a_finished_request_is_in_every_metric(metrics: Metrics) -> None:
    durations = Durations(queue=1.0, prefill=0.25, decode=2.0, time_to_first_token=1.25, total=3.5)
    metrics.request_ended(Outcome.MAX_TOKENS, durations, prompt_tokens=40, generated_tokens=11)

    assert value(metrics, "requests_total", outcome="max_tokens") == 1
    assert value(metrics, "prompt_tokens_total") == 40
    assert value(metrics, "generated_tokens_total") == 11
    assert counts(metrics) == dict.fromkeys(HISTOGRAMS, 1)
    sums = {name: value(metrics, f"{name}_seconds_sum") for name in HISTOGRAMS}
    assert sums == dict(zip(HISTOGRAMS, [1.0, 0.25, 2.0, 1.25, 0.2, 3.5], strict=True))


def test_a_request_cancelled_in_the_queue_has_no_durations_of_the_device(metrics: Metrics) -> None:
    metrics.request_ended(Outcome.CANCELLED, Durations(total=4.0), prompt_tokens=0, generated_tokens=0)

    assert value(metrics, "requests_total", outcome="cancelled") == 1
    assert counts(metrics) == {**dict.fromkeys(HISTOGRAMS, 0), "request_duration": 1}


def test_one_token_has_no_time_per_output_token(metrics: Metrics) -> None:
    durations = Durations(queue=0.0, prefill=0.1, decode=0.0, time_to_first_token=0.1, total=0.1)
    metrics.request_ended(Outcome.END_OF_TEXT, durations, prompt_tokens=4, generated_tokens=1)

    assert counts(metrics) == {**dict.fromkeys(HISTOGRAMS, 1), "time_per_output_token": 0}


def test_a_refused_request_is_counted_and_has_no_durations(metrics: Metrics) -> None:
    metrics.request_refused(Outcome.QUEUE_FULL)

    assert value(metrics, "requests_total", outcome="queue_full") == 1
    assert counts(metrics) == dict.fromkeys(HISTOGRAMS, 0)


@pytest.mark.parametrize(("step", "low", "high"), [(0.0015, 0.001, 0.002), (0.19, 0.175, 0.2), (0.21, 0.2, 0.225)])
def test_buckets_tell_steps_of_a_cpu_and_of_the_chip_apart(
    metrics: Metrics, step: float, low: float, high: float
) -> None:
    metrics.request_ended(Outcome.END_OF_TEXT, Durations(decode=step), prompt_tokens=1, generated_tokens=2)

    assert value(metrics, "time_per_output_token_seconds_bucket", le=str(low)) == 0
    assert value(metrics, "time_per_output_token_seconds_bucket", le=str(high)) == 1


def test_metrics_are_served_until_closed(metrics: Metrics) -> None:
    with Exposition(metrics.registry, "127.0.0.1", 0) as exposition:
        port = exposition.port
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
            served = response.read().decode()
            content_type = response.headers["Content-Type"]

    assert "wizardtpud_queue_capacity 64.0" in served.splitlines()
    assert content_type.startswith("text/plain; version=")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)


def test_a_scraper_that_leaves_without_a_word_leaves_no_trace(
    metrics: Metrics, capfd: pytest.CaptureFixture[str]
) -> None:
    with Exposition(metrics.registry, "127.0.0.1", 0) as exposition:
        before = threading.active_count()
        with socket.create_connection(("127.0.0.1", exposition.port)) as scraper:
            eventually(lambda: threading.active_count() > before, "a thread that serves it")
            scraper.sendall(b"GET /me")
            scraper.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # resets
        eventually(lambda: threading.active_count() == before, "the end of that thread")

    assert capfd.readouterr().err == ""


def test_a_scraper_that_stalls_is_given_up(
    metrics: Metrics, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exposition_module._Handler, "timeout", 0.01)
    with (
        Exposition(metrics.registry, "127.0.0.1", 0) as exposition,
        socket.create_connection(("127.0.0.1", exposition.port), timeout=PATIENCE) as scraper,
    ):
        assert scraper.recv(1) == b"", "the connection is closed"

    assert capfd.readouterr().err == ""


def test_a_used_port_is_explained(metrics: Metrics) -> None:
    with (
        Exposition(metrics.registry, "127.0.0.1", 0) as first,
        pytest.raises(ConfigurationError, match=f"127.0.0.1, port {first.port}: Address already in use"),
    ):
        Exposition(metrics.registry, "127.0.0.1", first.port)


def test_an_address_of_another_machine_is_explained(metrics: Metrics) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot listen on 192\.0\.2\.1, port 0: Cannot assign"):
        Exposition(metrics.registry, "192.0.2.1", 0)
