from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from msgspec.structs import replace
from wizardtpu.v1 import generation_pb2 as wire
from wizardtpud.engine.sampling import Sampling
from wizardtpud.engine.sequence import FinishReason
from wizardtpud.engine.token import Token
from wizardtpud.model.bundle import Bundle
from wizardtpud.observability.device_reading import DeviceReading
from wizardtpud.rpc.messages import (
    delta_message,
    device_message,
    finished_message,
    model_message,
    queued_message,
    started_message,
)
from wizardtpud.scheduling.events import Delta, Finished, Queued, Started
from wizardtpud.scheduling.timestamps import Timestamps

from tests.support import small_bundle
from tests.support.recorded_request import recorded_request


def test_queued() -> None:
    message = queued_message(Queued(position=3, estimated_wait=1.25), "r1").queued

    assert (message.position, message.request_id) == (3, "r1")
    assert (message.estimated_wait.seconds, message.estimated_wait.nanos) == (1, 250_000_000)


def test_queued_without_an_estimate_has_none() -> None:
    message = queued_message(Queued(position=1, estimated_wait=None), "r1").queued

    assert not message.HasField("estimated_wait")


def test_queued_with_nothing_to_wait_for_says_so() -> None:
    assert queued_message(Queued(position=1, estimated_wait=0.0), "r1").queued.HasField("estimated_wait")


def test_started() -> None:
    message = started_message(Started(prompt_tokens=9, reused_tokens=4), seed=2**64 - 1)

    assert message.started == wire.Started(prompt_tokens=9, reused_tokens=4, seed=2**64 - 1)


def test_a_delta_has_tokens_only_if_asked_for() -> None:
    event = Delta("ab", (Token(1), Token(2)))

    assert delta_message(event, with_tokens=False).delta == wire.Delta(text="ab")
    assert delta_message(event, with_tokens=True).delta == wire.Delta(
        text="ab", tokens=[wire.Token(id=1), wire.Token(id=2)]
    )


def test_a_token_has_its_log_probability_and_those_of_others() -> None:
    event = Delta("a", (Token(7, -0.5, ((7, -0.5), (8, -1.5))),))

    (token,) = delta_message(event, with_tokens=True).delta.tokens

    assert token.logprob == -0.5
    assert [(other.id, other.logprob) for other in token.alternatives] == [(7, -0.5), (8, -1.5)]


def test_a_certain_token_has_a_log_probability_of_zero_and_not_none() -> None:
    sure, silent = delta_message(Delta("a", (Token(7, 0.0), Token(7))), with_tokens=True).delta.tokens

    assert sure.HasField("logprob")
    assert not silent.HasField("logprob")


@pytest.mark.parametrize("reason", FinishReason)
def test_every_finish_reason_has_its_name_on_the_wire(reason: FinishReason) -> None:
    request, _ = recorded_request()

    message = finished_message(Finished(reason, None), request).finished

    assert wire.FinishReason.Name(message.reason) == f"FINISH_REASON_{reason.name}"


def test_every_finish_reason_of_the_wire_but_that_of_cancellation_is_sent() -> None:
    names = {f"FINISH_REASON_{reason.name}" for reason in FinishReason}

    # Whoever cancels has closed the stream, and reads no event any more.
    unsent = {"FINISH_REASON_UNSPECIFIED", "FINISH_REASON_CANCELLED"}
    assert names | unsent == set(wire.FinishReason.keys())


def test_finished_counts_and_times() -> None:
    request, _ = recorded_request(prompt=[1, 2, 3])
    request.sampling = Sampling(seed=42)
    request.generated_tokens, request.reused_tokens = 5, 2
    request.times = Timestamps(arrived=10.0, admitted=10.5, first_token=11.5, last_token=13.75)

    message = finished_message(Finished(FinishReason.STOP_SEQUENCE, "```"), request).finished

    assert message.stop_sequence == "```"
    assert message.seed == 42
    assert message.usage == wire.Usage(prompt_tokens=3, reused_tokens=2, generated_tokens=5)
    times = message.timings
    seconds = [part.ToTimedelta().total_seconds() for part in (times.queue, times.prefill, times.decode)]
    assert seconds == [0.5, 1.0, 2.25]
    assert times.time_to_first_token.ToTimedelta().total_seconds() == 1.5


def test_what_a_foreign_model_does_not_tell_is_empty() -> None:
    manifest = replace(small_bundle.manifest(), layout="llm-convert", quantization=None, sampling=False)

    message = model_message(Bundle(Path("/bundle"), manifest, digest="d1"))

    assert (message.quantization, message.sampling) == ("", False)


def test_the_model_is_what_the_manifest_says() -> None:
    manifest = small_bundle.manifest()

    message = model_message(Bundle(Path("/bundle"), manifest, digest="d1"))

    assert message == wire.GetModelResponse(
        name="small",
        architecture="gpt_bigcode",
        quantization="f32",
        target="cpu",
        context_length=8,
        vocabulary_size=10,
        sampling=True,
        chat_template=manifest.chat_template,
        bundle_digest="d1",
    )


def test_a_device_says_what_it_knows() -> None:
    message = device_message(DeviceReading(2, "pcie", utilization=0.0, memory_total=2**40, fault=False))

    assert message == wire.DeviceStatus(device=2, source="pcie", utilization=0.0, memory_total=2**40, fault=False)
    assert message.HasField("utilization")
    assert message.HasField("fault")
    assert not message.HasField("chip_temperature")


def test_the_wire_has_every_field_of_a_reading_under_its_own_name() -> None:
    assert {field.name for field in fields(DeviceReading)} == set(wire.DeviceStatus.DESCRIPTOR.fields_by_name)
