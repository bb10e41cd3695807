"""Checking a request's options, field by field, and turning them into what the engine and the text room take."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from wizardtpu.v1 import generation_pb2 as wire

from wizardtpud.engine.sampling import Sampling
from wizardtpud.errors import GreedyOnlyError, InvalidRequestError

MAX_TEMPERATURE = 10.0
MAX_REPETITION_PENALTY = 10.0
MAX_ALTERNATIVES = 20
MAX_STOP_SEQUENCES = 16
MAX_STOP_SEQUENCE_LENGTH = 256


@dataclass(frozen=True)
class Stopping:
    """When generation ends, besides the model's own end of text and a full context."""

    max_new_tokens: int | None
    sequences: tuple[str, ...]
    include: bool


def sampling_of(request: wire.GenerateRequest, *, greedy_only: bool = False) -> Sampling:
    """The sampling of a request, with a seed chosen here if it has none.

    Args:
        request: what was asked for.
        greedy_only: whether the model's networks give the most likely token, and nothing about others.

    Raises:
        InvalidRequestError: a value is not a number or out of range; the field is named.
        GreedyOnlyError: the model cannot do it.
    """
    sampling = _checked_sampling(request)
    if greedy_only and not sampling.greedy_on_device:
        raise GreedyOnlyError(
            "the networks of this model give the most likely token and nothing else: leave out temperature, "
            "repetition_penalty and logprobs"
        )
    return sampling


def _checked_sampling(request: wire.GenerateRequest) -> Sampling:
    given, response = request.sampling, request.response
    _check("sampling.temperature", given.temperature, low=0.0, high=MAX_TEMPERATURE)
    if given.HasField("top_p"):
        _check("sampling.top_p", given.top_p, above=0.0, high=1.0)
    if given.HasField("repetition_penalty"):
        _check("sampling.repetition_penalty", given.repetition_penalty, above=0.0, high=MAX_REPETITION_PENALTY)
    if response.top_logprobs > MAX_ALTERNATIVES:
        raise InvalidRequestError(
            "response.top_logprobs", f"is {response.top_logprobs}, but at most {MAX_ALTERNATIVES} can be given"
        )
    if response.top_logprobs and not response.logprobs:
        raise InvalidRequestError("response.top_logprobs", "needs response.logprobs as well")
    default = Sampling()
    return Sampling(
        temperature=given.temperature,
        top_k=given.top_k,
        top_p=given.top_p if given.HasField("top_p") else default.top_p,
        repetition_penalty=(
            given.repetition_penalty if given.HasField("repetition_penalty") else default.repetition_penalty
        ),
        repetition_window=(
            given.repetition_window if given.HasField("repetition_window") else default.repetition_window
        ),
        seed=given.seed if given.HasField("seed") else secrets.randbits(63),
        logprobs=response.top_logprobs if response.logprobs else None,
    )


def stopping_of(request: wire.GenerateRequest) -> Stopping:
    """The stopping of a request.

    Raises:
        InvalidRequestError: no room for a token, or too many, empty or too long stop sequences.
    """
    given = request.stopping
    if given.HasField("max_new_tokens") and given.max_new_tokens == 0:
        raise InvalidRequestError("stopping.max_new_tokens", "is 0; leave it unset to fill the context")
    if len(given.stop_sequences) > MAX_STOP_SEQUENCES:
        raise InvalidRequestError(
            "stopping.stop_sequences",
            f"has {len(given.stop_sequences)} entries, at most {MAX_STOP_SEQUENCES} can be",
        )
    for index, sequence in enumerate(given.stop_sequences):
        if not 1 <= len(sequence) <= MAX_STOP_SEQUENCE_LENGTH:
            raise InvalidRequestError(
                f"stopping.stop_sequences[{index}]",
                f"has {len(sequence)} characters, but must have 1 to {MAX_STOP_SEQUENCE_LENGTH}",
            )
    return Stopping(
        max_new_tokens=given.max_new_tokens if given.HasField("max_new_tokens") else None,
        sequences=tuple(given.stop_sequences),
        include=given.include_stop_sequence,
    )


def _check(field: str, value: float, *, high: float, low: float | None = None, above: float | None = None) -> None:
    enough = value >= low if low is not None else above is None or value > above
    if enough and value <= high:  # which NaN is not
        return
    bounds = f"from {low:g}" if low is not None else f"above {above:g}"
    raise InvalidRequestError(field, f"is {value:.9g}, but must be {bounds} and at most {high:g}")
