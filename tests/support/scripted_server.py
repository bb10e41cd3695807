"""A real gRPC server on a loopback socket whose answers a test writes down beforehand."""
# ruff: noqa: ARG002 -- names and arguments are the protocol's

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status
from wizardtpu.v1 import generation_pb2 as wire
from wizardtpu.v1.generation_pb2_grpc import GenerationServiceServicer, add_GenerationServiceServicer_to_server

Script = Callable[[Any], Iterator[wire.GenerateResponse]]


class ScriptedService(GenerationServiceServicer):
    """Plays one script per Generate call, the last one again and again; keeps what it was asked."""

    def __init__(self) -> None:
        self.scripts: list[Script] = [answer("Hello.")]
        self.requests: list[Message] = []
        self.devices: list[wire.DeviceStatus] = []
        self.unary: Callable[[Any], object] = lambda _context: None
        self.ended = threading.Event()

    def Generate(self, request: wire.GenerateRequest, context: Any) -> Iterator[wire.GenerateResponse]:
        self.requests.append(request)
        context.add_callback(self.ended.set)
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        yield from script(context)

    def Tokenize(self, request: wire.TokenizeRequest, context: Any) -> wire.TokenizeResponse:
        self.requests.append(request)
        self.unary(context)
        return wire.TokenizeResponse(token_ids=[5, 6], pieces=["a", "b"] if request.with_pieces else [])

    def Detokenize(self, request: wire.DetokenizeRequest, context: Any) -> wire.DetokenizeResponse:
        self.requests.append(request)
        return wire.DetokenizeResponse(text="ab")

    def GetModel(self, request: wire.GetModelRequest, context: Any) -> wire.GetModelResponse:
        return wire.GetModelResponse(
            name="demo", architecture="gpt_bigcode", quantization="f32", context_length=512, sampling=True
        )

    def GetStatus(self, request: wire.GetStatusRequest, context: Any) -> wire.GetStatusResponse:
        self.unary(context)
        response = wire.GetStatusResponse(
            state=wire.SERVING_STATE_SERVING, version="0.1.0", queue_capacity=16, devices=self.devices
        )
        response.started_at.FromSeconds(1_700_000_000)
        return response


class ScriptedServer:
    """The service, listening until the end of the `with` block; unless told, on a free loopback port."""

    def __init__(self, listen: str = "127.0.0.1:0", credentials: grpc.ServerCredentials | None = None) -> None:
        self.service = ScriptedService()
        self._server = grpc.server(ThreadPoolExecutor(8))
        add_GenerationServiceServicer_to_server(self.service, self._server)
        if credentials is None:
            port = self._server.add_insecure_port(listen)
        else:
            port = self._server.add_secure_port(listen, credentials)
        self.address = listen if listen.startswith("unix:") else f"127.0.0.1:{port}"

    def plays(self, *scripts: Script) -> None:
        self.service.scripts = list(scripts)

    def __enter__(self) -> ScriptedServer:
        self._server.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.stop(grace=None).wait()


def queued(position: int, wait: float | None = None) -> wire.GenerateResponse:
    event = wire.Queued(position=position, request_id="r1")
    if wait is not None:
        event.estimated_wait.FromNanoseconds(int(wait * 1e9))
    return wire.GenerateResponse(queued=event)


def started() -> wire.GenerateResponse:
    return wire.GenerateResponse(started=wire.Started(prompt_tokens=7, reused_tokens=2, seed=42))


def delta(text: str, *tokens: wire.Token) -> wire.GenerateResponse:
    return wire.GenerateResponse(delta=wire.Delta(text=text, tokens=tokens))


def finished(reason: wire.FinishReason = wire.FINISH_REASON_END_OF_TEXT) -> wire.GenerateResponse:
    timings = wire.Timings(
        queue=Duration(nanos=250_000_000),
        prefill=Duration(nanos=500_000_000),
        decode=Duration(seconds=2),
        time_to_first_token=Duration(nanos=750_000_000),
    )
    usage = wire.Usage(prompt_tokens=7, reused_tokens=2, generated_tokens=11)
    return wire.GenerateResponse(finished=wire.Finished(reason=reason, usage=usage, seed=42, timings=timings))


def answer(*texts: str) -> Script:
    """The whole life of an untroubled request."""
    return play(queued(1), started(), *map(delta, texts), finished())


def play(*steps: wire.GenerateResponse | Callable[[Any], object]) -> Script:
    """Sends the messages among the steps and calls the others with the call's context."""

    def script(context: Any) -> Iterator[wire.GenerateResponse]:
        for step in steps:
            if isinstance(step, wire.GenerateResponse):
                yield step
            else:
                step(context)

    return script


def until_cancelled(context: Any) -> None:
    """Waits until the client goes away; a test that never cancels fails here instead of hanging."""
    ended = threading.Event()
    if context.add_callback(ended.set):
        assert ended.wait(20)


def refuse(
    code: grpc.StatusCode,
    reason: str,
    message: str = "refused",
    *,
    field: str | None = None,
    retry_after: float | None = None,
    domain: str = "wizardtpud",
) -> Callable[[Any], NoReturn]:
    """Ends the call the way the daemon does, with google.rpc details."""
    details: list[Message] = [ErrorInfo(domain=domain, reason=reason)]
    if field is not None:
        violation = BadRequest.FieldViolation(field=field, description=message)
        details.append(BadRequest(field_violations=[violation]))
    if retry_after is not None:
        details.append(RetryInfo(retry_delay=Duration(nanos=int(retry_after * 1e9))))
    status = Status(code=Code.Value(code.name), message=message, details=map(_packed, details))

    def abort(context: Any) -> NoReturn:
        context.abort_with_status(rpc_status.to_status(status))
        raise AssertionError

    return abort


def _packed(message: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
