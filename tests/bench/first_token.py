"""How long a person looks at nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from wizardtpu_client import Client, Delta, Finished

from tests.bench.engine_loop import EngineLoop
from tests.bench.model import Model, demo_prompt
from tests.bench.progress import say
from tests.bench.series import Series
from tests.support.daemon_process import DaemonProcess

QUESTION = "write quicksort"
_NEW_TOKENS = 4


@dataclass(frozen=True)
class FirstToken:
    """Seconds to the first token of an answer, with no other request under way; one value per request.

    Attributes:
        prompt_tokens: what is read before the first token can be chosen.
        engine: of the bare loop.
        daemon: by the daemon's clock, from the arrival of the request until the token was chosen.
        client: by the client's clock, from the call until there was text.
    """

    prompt_tokens: int
    engine: Series
    daemon: Series
    client: Series


def measure_first_token(model: Model, requests: int, scratch: Path) -> FirstToken:
    """Asks the demonstration model the same question, one request after the other."""
    say(f"time to first token: {requests} requests")
    prompt = demo_prompt(QUESTION)
    bundle = model.bundle("f32")
    log = scratch / "daemon-first-token"
    log.mkdir()
    engine, daemon, client = Series([]), Series([]), Series([])
    with (
        EngineLoop.open("bare", bundle) as loop,
        DaemonProcess(bundle, log, "--metrics", "off") as process,
        Client(process.address) as connection,
    ):
        for _ in range(requests + 1):
            engine.values.append(loop.generate(prompt, 1).seconds)
            seen, chosen = _ask(connection)
            client.values.append(seen)
            daemon.values.append(chosen)
    return FirstToken(len(prompt), *(Series(series.values[1:]) for series in (engine, daemon, client)))


def _ask(client: Client) -> tuple[float, float]:
    """Seconds to the first token by the client's clock and by the daemon's."""
    start = perf_counter()
    seen = chosen = 0.0
    for event in client.generate(QUESTION, max_new_tokens=_NEW_TOKENS).events():
        match event:
            case Delta():
                seen = seen or perf_counter() - start
            case Finished(timings=timings):
                chosen = timings.time_to_first_token
    return seen, chosen
