from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from wizardtpu.v1 import generation_pb2 as wire
from wizardtpud import errors
from wizardtpud.observability.metrics import Metrics
from wizardtpud.observability.outcome import Outcome
from wizardtpud.rpc.generation import Generation
from wizardtpud.rpc.journal import Journal
from wizardtpud.scheduling.timestamps import Timestamps
from wizardtpud.text.tokenizer import Tokenizer

from tests.support.byte_level_tokenizer import byte_level_backend

TOKENIZER = Tokenizer(byte_level_backend())
SECRET = "my secret plan"
REFUSALS: list[tuple[Exception, Outcome]] = [
    (errors.InvalidRequestError("prompt", "is empty"), Outcome.INVALID),
    (errors.QueueFullError("full", 1), Outcome.QUEUE_FULL),
    (errors.LoadingError("loading", 1), Outcome.LOADING),
    (errors.DrainingError("draining", 1), Outcome.DRAINING),
]
ENDINGS: list[tuple[BaseException, Outcome]] = [
    (errors.StoppedError("stopped", 1), Outcome.STOPPED),
    (errors.SlowReaderError("slow"), Outcome.SLOW_READER),
    (errors.DeviceError("gone"), Outcome.FAILED),
    (errors.NotNumbersError("not numbers"), Outcome.FAILED),
    (errors.WizardtpudError("the decode loop failed"), Outcome.FAILED),
    (RuntimeError("unexpected"), Outcome.FAILED),
    (asyncio.CancelledError(), Outcome.CANCELLED),
]


class Call:
    """The part of a servicer context that the journal looks at: seconds left, at first and at the end."""

    def __init__(self, *remaining: float | None) -> None:
        self._remaining = list(remaining) or [None, None]

    def time_remaining(self) -> float | None:
        return self._remaining.pop(0)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def logs(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "wizardtpud")
    return caplog


def fields(record: logging.LogRecord) -> dict[str, Any]:
    return record.fields  # type: ignore[attr-defined,no-any-return]


def count(metrics: Metrics, outcome: Outcome) -> float | None:
    return metrics.registry.get_sample_value("wizardtpud_requests_total", {"outcome": outcome.value})


async def generation() -> Generation:
    return Generation(wire.GenerateRequest(), TOKENIZER.encode(SECRET), TOKENIZER, stream_buffer=8)


def fail(journal: Journal, error: BaseException, generation: Generation | None, call: Call | None = None) -> None:
    def run() -> None:
        with journal.entry(call or Call()) as entry:  # type: ignore[arg-type]
            entry.generation = generation
            raise error

    with pytest.raises(type(error)):
        run()


@pytest.mark.parametrize(("error", "outcome"), REFUSALS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("sound", [False, True])
async def test_a_refused_call(
    metrics: Metrics, logs: pytest.LogCaptureFixture, error: Exception, outcome: Outcome, sound: bool
) -> None:
    fail(Journal(metrics), error, await generation() if sound else None)

    (record,) = logs.records
    assert record.message == "request refused"
    assert fields(record) == {"outcome": outcome, "error": str(error)}
    assert count(metrics, outcome) == 1
    assert metrics.registry.get_sample_value("wizardtpud_request_duration_seconds_count") == 0


@pytest.mark.parametrize(("error", "outcome"), ENDINGS, ids=lambda value: type(value).__name__)
async def test_a_call_that_ended_badly(
    metrics: Metrics, logs: pytest.LogCaptureFixture, error: BaseException, outcome: Outcome
) -> None:
    request = await generation()

    fail(Journal(metrics), error, request)

    (record,) = logs.records
    assert record.message == "request ended"
    shown = fields(record)
    assert (shown["id"], shown["outcome"], shown["error"]) == (request.request.id, outcome, str(error) or None)
    assert count(metrics, outcome) == 1
    assert metrics.registry.get_sample_value("wizardtpud_request_duration_seconds_count") == 1
    nonsense = metrics.registry.get_sample_value("wizardtpud_not_numbers_total")
    assert nonsense == isinstance(error, errors.NotNumbersError)


@pytest.mark.parametrize("outcome", [Outcome.END_OF_TEXT, Outcome.MAX_TOKENS, Outcome.STOP_SEQUENCE])
async def test_a_complete_call(metrics: Metrics, logs: pytest.LogCaptureFixture, outcome: Outcome) -> None:
    with Journal(metrics).entry(Call()) as entry:  # type: ignore[arg-type]
        entry.generation = await generation()
        entry.generation.request.times = Timestamps(arrived=1.0, admitted=2.0, first_token=4.0, last_token=8.0)
        entry.generation.request.generated_tokens = 5
        entry.outcome = outcome

    (record,) = logs.records
    shown = fields(record)
    assert (shown["outcome"], shown["error"], shown["generated_tokens"]) == (outcome, None, 5)
    assert (shown["queue"], shown["prefill"], shown["decode"]) == (1.0, 2.0, 4.0)
    assert count(metrics, outcome) == 1
    assert metrics.registry.get_sample_value("wizardtpud_generated_tokens_total") == 5
    assert metrics.registry.get_sample_value("wizardtpud_prompt_tokens_total") == len(TOKENIZER.encode(SECRET))


async def test_a_prompt_that_the_device_never_saw_is_not_counted(metrics: Metrics) -> None:
    fail(Journal(metrics), asyncio.CancelledError(), await generation())

    assert metrics.registry.get_sample_value("wizardtpud_prompt_tokens_total") == 0


@pytest.mark.parametrize(
    ("allowed", "remaining", "outcome"),
    [
        (None, None, Outcome.CANCELLED),
        (10.0, 0.0, Outcome.DEADLINE_EXCEEDED),
        (1.24, 0.006, Outcome.DEADLINE_EXCEEDED),  # sent as 1.24 s by a client that allows 1.234 s
        (3600.0, 20.0, Outcome.DEADLINE_EXCEEDED),
        (10.0, 5.0, Outcome.CANCELLED),
    ],
)
async def test_a_deadline_is_told_from_a_cancellation(
    metrics: Metrics, allowed: float | None, remaining: float | None, outcome: Outcome
) -> None:
    fail(Journal(metrics), asyncio.CancelledError(), await generation(), Call(allowed, remaining))

    assert count(metrics, outcome) == 1


async def test_prompts_are_in_the_log_only_if_wanted(metrics: Metrics, logs: pytest.LogCaptureFixture) -> None:
    fail(Journal(metrics), errors.DeviceError("gone"), await generation())
    fail(Journal(metrics, TOKENIZER.decode), errors.DeviceError("gone"), await generation())

    assert [fields(record)["prompt"] for record in logs.records] == [None, SECRET]
    assert SECRET not in str(fields(logs.records[0]))
