from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wizardtpu.v1 import generation_pb2 as wire
from wizardtpud.engine.sampling import Sampling
from wizardtpud.errors import GreedyOnlyError, InvalidRequestError
from wizardtpud.rpc.options import (
    MAX_ALTERNATIVES,
    MAX_REPETITION_PENALTY,
    MAX_STOP_SEQUENCE_LENGTH,
    MAX_STOP_SEQUENCES,
    MAX_TEMPERATURE,
    Stopping,
    sampling_of,
    stopping_of,
)

float32 = st.floats(width=32)
uint32 = st.integers(0, 2**32 - 1)
uint64 = st.integers(0, 2**64 - 1)


def sampling(**values: Any) -> wire.GenerateRequest:
    return wire.GenerateRequest(sampling=wire.SamplingOptions(**values))


def stopping(**values: Any) -> wire.GenerateRequest:
    return wire.GenerateRequest(stopping=wire.StoppingOptions(**values))


def refusal(request: wire.GenerateRequest) -> InvalidRequestError:
    error = refused(request)
    assert error is not None
    return error


def refused(request: wire.GenerateRequest) -> InvalidRequestError | None:
    try:
        sampling_of(request)
        stopping_of(request)
    except InvalidRequestError as error:
        return error
    return None


def next_float32(value: float) -> float:
    return value * (1 + 2**-23)


def test_the_defaults_are_greedy_and_unlimited() -> None:
    chosen = sampling_of(wire.GenerateRequest())

    assert chosen == Sampling(seed=chosen.seed)
    assert stopping_of(wire.GenerateRequest()) == Stopping(None, (), include=False)


def test_a_seed_is_chosen_if_there_is_none() -> None:
    seeds = {sampling_of(wire.GenerateRequest()).seed for _ in range(8)}

    assert len(seeds) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_every_option_is_taken_over() -> None:
    request = sampling(
        temperature=0.5, top_k=7, top_p=0.25, repetition_penalty=1.5, repetition_window=0, seed=2**64 - 1
    )
    request.response.logprobs = True
    request.response.top_logprobs = 4

    assert sampling_of(request) == Sampling(
        temperature=0.5,
        top_k=7,
        top_p=0.25,
        repetition_penalty=1.5,
        repetition_window=0,
        seed=2**64 - 1,
        logprobs=4,
    )


def test_log_probabilities_without_alternatives() -> None:
    assert sampling_of(wire.GenerateRequest(response=wire.ResponseOptions(logprobs=True))).logprobs == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 0.0),
        ("temperature", MAX_TEMPERATURE),
        ("top_p", 1.0),
        ("top_p", 1e-30),
        ("repetition_penalty", 1e-30),
        ("repetition_penalty", MAX_REPETITION_PENALTY),
    ],
)
def test_the_limits_themselves_are_allowed(name: str, value: float) -> None:
    assert getattr(sampling_of(sampling(**{name: value})), name) == pytest.approx(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -1e-30),
        ("temperature", next_float32(MAX_TEMPERATURE)),
        ("top_p", 0.0),
        ("top_p", -0.5),
        ("top_p", next_float32(1.0)),
        ("repetition_penalty", 0.0),
        ("repetition_penalty", -1.0),
        ("repetition_penalty", next_float32(MAX_REPETITION_PENALTY)),
        *(
            (name, value)
            for name in ("temperature", "top_p", "repetition_penalty")
            for value in (math.inf, math.nan)
        ),
    ],
)
def test_beyond_the_limits_the_field_is_named(name: str, value: float) -> None:
    assert refusal(sampling(**{name: value})).field == f"sampling.{name}"


def test_a_value_just_beyond_a_limit_is_not_shown_as_the_limit() -> None:
    assert refusal(sampling(temperature=next_float32(10.0))).description == (
        "is 10.000001, but must be from 0 and at most 10"
    )


def test_alternatives_have_a_limit_and_need_log_probabilities() -> None:
    most = wire.ResponseOptions(logprobs=True, top_logprobs=MAX_ALTERNATIVES)
    more = wire.ResponseOptions(logprobs=True, top_logprobs=MAX_ALTERNATIVES + 1)
    alone = wire.ResponseOptions(top_logprobs=1)

    assert sampling_of(wire.GenerateRequest(response=most)).logprobs == MAX_ALTERNATIVES
    assert refusal(wire.GenerateRequest(response=more)).field == "response.top_logprobs"
    assert refusal(wire.GenerateRequest(response=alone)).field == "response.top_logprobs"


def test_stopping_is_taken_over() -> None:
    request = stopping(max_new_tokens=1, stop_sequences=["é", "b"], include_stop_sequence=True)

    assert stopping_of(request) == Stopping(1, ("é", "b"), include=True)


def test_no_tokens_at_all_is_refused() -> None:
    assert refusal(stopping(max_new_tokens=0)).field == "stopping.max_new_tokens"


def test_stop_sequences_have_limits() -> None:
    longest, many = "🦊" * MAX_STOP_SEQUENCE_LENGTH, ["x"] * MAX_STOP_SEQUENCES

    assert stopping_of(stopping(stop_sequences=[longest])).sequences == (longest,)
    assert stopping_of(stopping(stop_sequences=many)).sequences == tuple(many)
    assert refusal(stopping(stop_sequences=[*many, "x"])).field == "stopping.stop_sequences"
    assert refusal(stopping(stop_sequences=["x", longest + "x"])).field == "stopping.stop_sequences[1]"
    assert refusal(stopping(stop_sequences=["x", "x", ""])).field == "stopping.stop_sequences[2]"


@given(
    temperature=float32,
    top_k=uint32,
    top_p=st.none() | float32,
    repetition_penalty=st.none() | float32,
    repetition_window=st.none() | uint32,
    seed=st.none() | uint64,
)
def test_any_sampling_is_sound_or_refused_by_a_field_that_is_wrong(**values: Any) -> None:
    sound = {
        "temperature": 0 <= values["temperature"] <= MAX_TEMPERATURE,
        "top_p": values["top_p"] is None or 0 < values["top_p"] <= 1,
        "repetition_penalty": (
            values["repetition_penalty"] is None or 0 < values["repetition_penalty"] <= MAX_REPETITION_PENALTY
        ),
    }
    wrong = [f"sampling.{name}" for name, allowed in sound.items() if not allowed]
    request = sampling(**values)

    error = refused(request)

    assert (error.field if error else None) == next(iter(wrong), None)
    if error is None:
        chosen = sampling_of(request)
        assert all(value is None or getattr(chosen, name) == value for name, value in values.items())


@given(st.lists(st.text(max_size=300), max_size=20), st.none() | uint32)
def test_any_stopping_is_sound_or_refused(sequences: list[str], max_new_tokens: int | None) -> None:
    sound = len(sequences) <= 16 and all(1 <= len(sequence) <= 256 for sequence in sequences)
    request = stopping(stop_sequences=sequences, max_new_tokens=max_new_tokens)

    error = refused(request)

    if sound and max_new_tokens != 0:
        assert stopping_of(request) == Stopping(max_new_tokens, tuple(sequences), include=False)
    else:
        assert error is not None
        assert error.field.startswith("stopping.")


@pytest.mark.parametrize(
    "request_",
    [
        sampling(temperature=0.5),
        sampling(repetition_penalty=1.5),
        wire.GenerateRequest(response=wire.ResponseOptions(logprobs=True)),
    ],
)
def test_networks_that_give_tokens_alone(request_: wire.GenerateRequest) -> None:
    with pytest.raises(GreedyOnlyError, match="leave out temperature, repetition_penalty and logprobs"):
        sampling_of(request_, greedy_only=True)
    assert sampling_of(request_)


def test_greedy_decoding_is_what_every_network_can_do() -> None:
    request_ = sampling(top_k=5, top_p=0.5, seed=3)
    assert sampling_of(request_, greedy_only=True) == sampling_of(request_)
