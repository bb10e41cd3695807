"""The daemon and its client, beside the bare engine loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

import psutil
from wizardtpu_client import AsyncClient, Delta, Finished
from wizardtpu_compile.options.cpu import Precision

from tests.bench.engine_loop import EngineLoop
from tests.bench.lap import Lap
from tests.bench.model import Model
from tests.bench.progress import say
from tests.bench.series import Series
from tests.support.daemon_process import DaemonProcess

SLOTS = 8


@dataclass(frozen=True)
class Serving:
    """Both ways of doing the same work; one lap of each per round.

    Attributes:
        streams: requests under way at a time.
        client_cpu_seconds: processor time of the client, in each round.
    """

    model: str
    precision: Precision
    streams: int
    bare: list[Lap]
    served: list[Lap]
    client_cpu_seconds: list[float]

    @property
    def server_cpu(self) -> Series:
        """Seconds of processor time per token that the daemon takes beyond the bare loop."""
        return Series(
            [
                (served.cpu_seconds - bare.cpu_seconds) / served.tokens
                for bare, served in zip(self.bare, self.served, strict=True)
            ]
        )

    @property
    def client_cpu(self) -> Series:
        """Seconds of processor time per token that the client takes."""
        laps = zip(self.client_cpu_seconds, self.served, strict=True)
        return Series([seconds / lap.tokens for seconds, lap in laps])


def measure_serving(
    model: Model, precision: Precision, streams: Sequence[int], rounds: int, scratch: Path
) -> list[Serving]:
    """Lets the bare loop and a daemon take turns, for every number of streams."""
    bundle = model.bundle(precision)
    log = scratch / f"daemon-{model.name}-{precision}"
    log.mkdir()
    results = [Serving(model.name, precision, count, [], [], []) for count in streams]
    with (
        EngineLoop.open("bare", bundle, slots=SLOTS) as loop,
        DaemonProcess(bundle, log, "--slots", str(SLOTS), "--metrics", "off") as daemon,
    ):
        _served_lap(daemon, model, 1)
        for number in range(rounds):
            say(f"{model.name} {precision}: round {number + 1} of {rounds}, bare loop and daemon")
            for result in results:
                result.bare.append(_bare_lap(loop, model, result.streams))
                start = process_time()
                result.served.append(_served_lap(daemon, model, result.streams))
                result.client_cpu_seconds.append(process_time() - start)
    return results


def _groups(model: Model, size: int) -> list[list[list[int]]]:
    return [model.prompts[start : start + size] for start in range(0, len(model.prompts), size)]


def _bare_lap(loop: EngineLoop, model: Model, streams: int) -> Lap:
    start = process_time()
    laps = [loop.together(prompts, model.max_new_tokens) for prompts in _groups(model, streams)]
    return sum(laps, Lap(cpu_seconds=process_time() - start))


def _served_lap(daemon: DaemonProcess, model: Model, streams: int) -> Lap:
    process = psutil.Process(daemon.pid)
    start = _cpu_seconds(process)
    laps = asyncio.run(_ask_all(daemon.address, model, streams))
    return sum(laps, Lap(cpu_seconds=_cpu_seconds(process) - start))


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


async def _ask_all(address: str, model: Model, streams: int) -> list[Lap]:
    async with AsyncClient(address) as client:
        await client.status()  # connects
        return [await _together(client, prompts, model.max_new_tokens) for prompts in _groups(model, streams)]


@dataclass(frozen=True)
class _Stream:
    tokens: int
    messages: int
    first: float
    """When the first text came, on the clock of `perf_counter`."""


async def _together(client: AsyncClient, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> Lap:
    start = perf_counter()
    streams = await asyncio.gather(*(_ask(client, prompt, max_new_tokens) for prompt in prompts))
    end = perf_counter()
    tokens = sum(stream.tokens for stream in streams)
    all_read = max(stream.first for stream in streams)
    messages = sum(stream.messages for stream in streams)
    return Lap(tokens, tokens - len(streams), end - start, end - all_read, messages=messages)


async def _ask(client: AsyncClient, prompt: Sequence[int], max_new_tokens: int) -> _Stream:
    tokens, messages, first = 0, 0, 0.0
    async for event in client.generate(token_ids=prompt, max_new_tokens=max_new_tokens).events():
        match event:
            case Delta():
                first = first or perf_counter()
                messages += 1
            case Finished(usage=usage):
                tokens = usage.generated_tokens
    return _Stream(tokens, messages, first)
