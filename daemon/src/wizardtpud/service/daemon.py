"""The daemon's life: load, serve, drain, stop."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timezone
from importlib.metadata import version
from time import monotonic
from typing import Any

from wizardtpud.errors import DeviceHungError
from wizardtpud.model.bundle import Bundle
from wizardtpud.observability.exposition import Exposition
from wizardtpud.observability.logging import log
from wizardtpud.observability.metrics import Metrics
from wizardtpud.observability.stdout_capture import capture_stdout
from wizardtpud.rpc.journal import Journal
from wizardtpud.rpc.prompts import Prompts
from wizardtpud.rpc.server import SERVICE, make_server
from wizardtpud.rpc.servicer import GenerationServicer
from wizardtpud.rpc.serving import Serving, ServingState
from wizardtpud.scheduling.scheduler import Scheduler
from wizardtpud.service.configuration import Configuration
from wizardtpud.service.engines import Engines
from wizardtpud.text.prompt_template import PromptTemplate
from wizardtpud.text.tokenizer import Tokenizer

_HURRY_SECONDS = 10.0  # that a device has to come to an end when nobody wants to wait any more
_FLUSH_SECONDS = 2.0  # for the last events of streams whose requests have ended


class Daemon:
    """One bundle, one server, and an engine for each group of devices.

    Make it in an event loop of its own, and `run` it once there.

    Args:
        bundle: already checked.

    Raises:
        BundleError: its tokenizer or prompt template cannot be used.
    """

    def __init__(self, configuration: Configuration, bundle: Bundle) -> None:
        self._configuration = configuration
        self._bundle = bundle
        self._tokenizer = Tokenizer.load(bundle.tokenizer, bundle.manifest.architecture.vocabulary)
        self._template = PromptTemplate(bundle.manifest.chat_template)
        self._metrics = Metrics()
        slots = configuration.slots * len(configuration.devices)
        self._scheduler = Scheduler(configuration.queue_capacity, slots)
        self._serving = Serving([SERVICE.full_name])
        self._engines = Engines(configuration, bundle, self._scheduler)
        self._told_to_stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._told_to_hurry: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Serves until a signal says to stop and the accepted requests are done.

        Raises:
            ConfigurationError: an address cannot be bound.
            BundleError, DeviceError: the model cannot be loaded, or the device failed.
            DeviceHungError: the device does not answer; a thread that waits for it keeps the process from ending.
        """
        self._listen_to_signals()
        if self._bundle.manifest.target != "cpu":
            capture_stdout(self._configuration.log_level, self._configuration.log_format)
        self._engines.claim()
        with self._exposition():
            self._observe_scheduler()
            server = make_server(self._servicer(), self._serving, map(str, self._configuration.listen))
            await server.start()
            self._engines.start()
            try:
                await self._serve()
            finally:
                self._scheduler.stop()
                await self._close_engines()
                self._serving.become(ServingState.DRAINING)
                await server.stop(_FLUSH_SECONDS)
                await _calls_end()
        self._engines.over.result()
        log.info("stopped")

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        told = self._told_to_hurry if self._told_to_stop.done() else self._told_to_stop
        if not told.done():
            told.set_result(None)

    def _exposition(self) -> AbstractContextManager[object]:
        address = self._configuration.metrics
        if address is None:
            return nullcontext()
        exposition = Exposition(self._metrics.registry, address.host, address.port)
        log.info("serving metrics", address=f"{address.host}:{exposition.port}")
        return exposition

    def _servicer(self) -> GenerationServicer:
        return GenerationServicer(
            bundle=self._bundle,
            tokenizer=self._tokenizer,
            prompts=Prompts(self._tokenizer, self._template, self._bundle.manifest.context),
            scheduler=self._scheduler,
            serving=self._serving,
            journal=Journal(self._metrics, self._tokenizer.decode if self._configuration.log_prompts else None),
            devices=self._engines.readings,
            stream_buffer=self._configuration.stream_buffer,
            version=version("wizardtpud"),
            started_at=datetime.now(timezone.utc),
        )

    async def _serve(self) -> None:
        """Until told to stop and the accepted requests are done, or until an engine ends."""
        start = monotonic()
        loaded, endings = self._engines.loaded, self._engines.endings
        await _first_of(loaded, *endings, self._told_to_stop)
        if loaded.done():
            self._observe_model(monotonic() - start)
            self._serving.become(ServingState.SERVING)
            log.info("serving", model=self._bundle.manifest.name, context=self._bundle.manifest.context)
            await _first_of(*endings, self._told_to_stop)
        await self._drain()

    async def _close_engines(self) -> None:
        """Waits for them, but for little more than a moment when told to hurry."""
        over = self._engines.over
        await _first_of(over, self._told_to_hurry)
        await _first_of(over, timeout=_HURRY_SECONDS)
        if not over.done():
            raise DeviceHungError("what a device is doing did not come to an end, and the daemon ends", 0)

    def _observe_scheduler(self) -> None:
        self._metrics.observe_scheduler(
            queue_depth=lambda: self._scheduler.queue_depth,
            queue_capacity=self._scheduler.queue_capacity,
            running=lambda: self._scheduler.running,
            slots=self._scheduler.slots,
        )

    def _observe_model(self, load_seconds: float) -> None:
        manifest = self._bundle.manifest
        self._metrics.model_loaded(
            load_seconds,
            name=manifest.name,
            quantization=manifest.precision,
            target=manifest.target,
            digest=self._bundle.digest,
        )

    async def _drain(self) -> None:
        self._serving.become(ServingState.DRAINING)
        self._scheduler.drain()
        log.info("draining", running=self._scheduler.running, queued=self._scheduler.queue_depth)
        await _first_of(self._engines.over, self._told_to_hurry, timeout=self._configuration.drain_seconds)


async def _first_of(*waiting: asyncio.Future[Any], timeout: float | None = None) -> None:
    """Waits for one of them, or for the timeout in seconds; raises nothing of theirs."""
    await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)


async def _calls_end() -> None:
    """Waits for the tasks of calls that gRPC has cancelled; its `stop` does not, but complains if they are cut."""
    calls = asyncio.all_tasks() - {asyncio.current_task()}
    if calls:
        await asyncio.wait(calls, timeout=_FLUSH_SECONDS)
