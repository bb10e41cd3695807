"""The counters add up to what the clients saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from wizardtpu.v1 import generation_pb2 as wire

from tests.support.conversation import Answer, ask, asking, read_until
from tests.support.daemon_process import DaemonProcess
from tests.support.eventually import eventually
from tests.support.failure import Failure
from tests.support.scrape import Scrape

QUICKSORT = "write quicksort"


@dataclass
class Seen:
    """What the clients of one daemon saw, all together."""

    answers: list[Answer] = field(default_factory=list)
    refused: int = 0
    cancelled: list[dict[str, Any]] = field(default_factory=list)

    @property
    def outcomes(self) -> Counter[str]:
        ended = Counter(answer.reason.lower() for answer in self.answers)
        return ended + Counter(invalid=self.refused, cancelled=len(self.cancelled))

    def seconds(self, timing: str) -> float:
        """The sum of one of the timings that the answers carry."""
        timings = [answer.finished.timings for answer in self.answers if answer.finished]
        return float(sum(getattr(each, timing).ToNanoseconds() / 1e9 for each in timings))


def _requests() -> Iterator[wire.GenerateRequest]:
    for instruction in (QUICKSORT, "write binary search", "merge sort"):
        yield asking(instruction)
    stopped = asking(QUICKSORT)
    stopped.stopping.stop_sequences.append("def")
    yield stopped
    for count in (1, 1, 5):
        yield asking(QUICKSORT, max_new_tokens=count)
    yield wire.GenerateRequest(token_ids=wire.TokenIds(ids=[65] * 511))
    sampled = asking(QUICKSORT, max_new_tokens=20)
    sampled.sampling.temperature = 1
    yield sampled


def _cancelled_while_running(daemon: DaemonProcess) -> dict[str, Any]:
    """The record of a request that is left after its first tokens."""
    call = daemon.stub.Generate(asking(QUICKSORT))
    request_id = read_until(call, "queued").request_id
    read_until(call, "delta")
    call.cancel()
    daemon.wait_until_running(0)
    return eventually(lambda: _record(daemon, request_id), "a record of the request")


def _record(daemon: DaemonProcess, request_id: str) -> dict[str, Any] | None:
    return next((record for record in daemon.records("request ended") if record["id"] == request_id), None)


@pytest.fixture(scope="module")
def seen(daemon: DaemonProcess) -> Seen:
    seen = Seen()
    for request in _requests():
        seen.answers.append(ask(daemon.stub, request))
    for request in (asking(""), wire.GenerateRequest(), asking(QUICKSORT, max_new_tokens=0)):
        with pytest.raises(grpc.RpcError) as caught:
            ask(daemon.stub, request)
        assert Failure.of(caught.value).code is grpc.StatusCode.INVALID_ARGUMENT
        seen.refused += 1
    record = _cancelled_while_running(daemon)
    assert record["outcome"] == "cancelled"
    seen.cancelled.append(record)
    return seen


@pytest.fixture
def scrape(daemon: DaemonProcess, seen: Seen) -> Scrape:
    return daemon.scrape()


def test_requests_by_outcome(scrape: Scrape, seen: Seen) -> None:
    assert scrape.outcomes() == seen.outcomes
    assert {"end_of_text", "stop_sequence", "max_tokens", "cancelled", "invalid"} <= seen.outcomes.keys()


def test_tokens(scrape: Scrape, seen: Seen) -> None:
    prompts = [answer.usage.prompt_tokens for answer in seen.answers]
    prompts += [record["prompt_tokens"] for record in seen.cancelled]
    generated = [answer.usage.generated_tokens for answer in seen.answers]
    generated += [record["generated_tokens"] for record in seen.cancelled]
    assert scrape("wizardtpud_prompt_tokens_total") == sum(prompts)
    assert scrape("wizardtpud_generated_tokens_total") == sum(generated)


@pytest.mark.parametrize(
    ("histogram", "timing"),
    [
        ("queue_duration", "queue"),
        ("prefill_duration", "prefill"),
        ("decode_duration", "decode"),
        ("time_to_first_token", "time_to_first_token"),
    ],
)
def test_durations_are_those_that_clients_were_told(
    scrape: Scrape, seen: Seen, histogram: str, timing: str
) -> None:
    name = f"wizardtpud_{histogram}_seconds"
    assert scrape(f"{name}_count") == len(seen.answers) + len(seen.cancelled)
    of_cancelled = sum(_duration(record, timing) for record in seen.cancelled)
    assert scrape(f"{name}_sum") == pytest.approx(seen.seconds(timing) + of_cancelled, rel=1e-3)


def _duration(record: dict[str, Any], timing: str) -> float:
    if timing == "time_to_first_token":
        return float(record["queue"] + record["prefill"])
    return float(record[timing])


def test_time_per_token_is_observed_where_there_is_one(scrape: Scrape, seen: Seen) -> None:
    counts = [answer.usage.generated_tokens for answer in seen.answers]
    counts += [record["generated_tokens"] for record in seen.cancelled]
    several = [count for count in counts if count > 1]
    assert scrape("wizardtpud_time_per_output_token_seconds_count") == len(several) < len(counts)


def test_status_agrees(daemon: DaemonProcess, scrape: Scrape, seen: Seen) -> None:
    status = daemon.status()
    assert status.finished_requests == len(seen.answers) + len(seen.cancelled)
    assert status.generated_tokens == scrape("wizardtpud_generated_tokens_total")
    assert scrape("wizardtpud_queue_capacity") == status.queue_capacity
    assert scrape("wizardtpud_slots") == status.slots


def test_gauges_of_an_idle_daemon(scrape: Scrape) -> None:
    assert scrape("wizardtpud_queue_depth") == 0
    assert scrape("wizardtpud_requests_running") == 0
    assert scrape("wizardtpud_model_load_seconds") > 0
    assert scrape("process_resident_memory_bytes") > 0


def test_model_info_identifies_the_bundle(daemon: DaemonProcess, scrape: Scrape) -> None:
    (sample,) = scrape.families["wizardtpud_model_info"].samples
    model = daemon.stub.GetModel(wire.GetModelRequest())
    assert sample.labels["digest"] == model.bundle_digest
    assert sample.labels["name"] == model.name


def test_names_follow_the_naming_guide(scrape: Scrape) -> None:
    """Prefix, base units and help text are there, and each histogram's widest bucket holds every observation."""
    for family in scrape.families.values():
        assert family.name.startswith(("wizardtpud_", "process_"))
        assert family.documentation
        if family.type == "histogram":
            assert family.name.endswith("_seconds")
            buckets = [sample.value for sample in family.samples if sample.name.endswith("_bucket")]
            assert buckets == sorted(buckets)
            assert buckets[-1] == scrape(f"{family.name}_count")


def test_gauges_of_a_busy_daemon(endless_bundle: Path, tmp_path: Path) -> None:
    with DaemonProcess(endless_bundle, tmp_path) as daemon:
        calls = [daemon.stub.Generate(asking("a")) for _ in range(3)]
        daemon.wait_until_running(1, queued=2)
        scrape = daemon.scrape()
        assert (scrape("wizardtpud_requests_running"), scrape("wizardtpud_queue_depth")) == (1, 2)
        assert scrape.outcomes() == {}
        for call in calls:
            call.cancel()
        daemon.wait_until_running(0)
        eventually(lambda: daemon.scrape().outcomes() == {"cancelled": 3}, "the end of the three")
