"""Events and descriptions as messages of the wire."""

from __future__ import annotations

from dataclasses import asdict

from google.protobuf.duration_pb2 import Duration
from wizardtpu.v1 import generation_pb2 as wire

from wizardtpud.engine.sequence import FinishReason
from wizardtpud.engine.token import Token
from wizardtpud.model.bundle import Bundle
from wizardtpud.observability.device_reading import DeviceReading
from wizardtpud.scheduling.events import Delta, Finished, Queued, Started
from wizardtpud.scheduling.request import Request

_REASONS = {
    FinishReason.END_OF_TEXT: wire.FINISH_REASON_END_OF_TEXT,
    FinishReason.STOP_SEQUENCE: wire.FINISH_REASON_STOP_SEQUENCE,
    FinishReason.MAX_TOKENS: wire.FINISH_REASON_MAX_TOKENS,
    FinishReason.CONTEXT_FULL: wire.FINISH_REASON_CONTEXT_FULL,
}


def queued_message(event: Queued, request_id: str) -> wire.GenerateResponse:
    queued = wire.Queued(position=event.position, request_id=request_id)
    if event.estimated_wait is not None:
        queued.estimated_wait.CopyFrom(_duration(event.estimated_wait))
    return wire.GenerateResponse(queued=queued)


def started_message(event: Started, seed: int) -> wire.GenerateResponse:
    return wire.GenerateResponse(
        started=wire.Started(prompt_tokens=event.prompt_tokens, reused_tokens=event.reused_tokens, seed=seed)
    )


def delta_message(event: Delta, *, with_tokens: bool) -> wire.GenerateResponse:
    tokens = [_token(token) for token in event.tokens] if with_tokens else ()
    return wire.GenerateResponse(delta=wire.Delta(text=event.text, tokens=tokens))


def finished_message(event: Finished, request: Request) -> wire.GenerateResponse:
    return wire.GenerateResponse(
        finished=wire.Finished(
            reason=_REASONS[event.reason],
            stop_sequence=event.stop_sequence or "",
            seed=request.sampling.seed,
            usage=wire.Usage(
                prompt_tokens=len(request.prompt),
                reused_tokens=request.reused_tokens,
                generated_tokens=request.generated_tokens,
            ),
            timings=_timings(request),
        )
    )


def model_message(bundle: Bundle) -> wire.GetModelResponse:
    manifest = bundle.manifest
    return wire.GetModelResponse(
        name=manifest.name,
        architecture=manifest.architecture.family,
        quantization=manifest.precision,
        target=manifest.target,
        context_length=manifest.context,
        vocabulary_size=manifest.architecture.vocabulary,
        sampling=manifest.sampling,
        chat_template=manifest.chat_template,
        bundle_digest=bundle.digest,
    )


def device_message(reading: DeviceReading) -> wire.DeviceStatus:
    """The reading, whose fields have the same names on the wire; one that is None stays unset."""
    return wire.DeviceStatus(**asdict(reading))


def _token(token: Token) -> wire.Token:
    message = wire.Token(id=token.id)
    if token.logprob is not None:
        message.logprob = token.logprob
        message.alternatives.extend(
            wire.Alternative(id=id_, logprob=logprob) for id_, logprob in token.alternatives
        )
    return message


def _timings(request: Request) -> wire.Timings:
    times = request.times
    return wire.Timings(
        queue=_duration(times.queue or 0.0),
        prefill=_duration(times.prefill or 0.0),
        decode=_duration(times.decode or 0.0),
        time_to_first_token=_duration(times.time_to_first_token or 0.0),
    )


def _duration(seconds: float) -> Duration:
    message = Duration()
    message.FromNanoseconds(round(seconds * 1e9))
    return message
