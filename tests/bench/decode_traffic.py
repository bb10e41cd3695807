"""What the engine asks of the device for each decoded token."""

from __future__ import annotations

from copy import copy
from dataclasses import astuple, dataclass

from wizardtpud.engine import Sampling, make_engine
from wizardtpud.model.bundle import Bundle
from wizardtpud.model.loading import load

from tests.bench.counting_runtime import CountingRuntime, Traffic
from tests.bench.engine_loop import GREEDY, EngineLoop
from tests.bench.model import Model

_SAMPLINGS = {"greedy": GREEDY, "sampled": Sampling(temperature=1.0)}


@dataclass(frozen=True)
class DecodeTraffic:
    """Per token after the first one of an answer, on average. Counted: every run gives the same."""

    model: str
    sampling: str
    launches: float
    copies_to_device: float
    bytes_to_device: float
    copies_to_host: float
    bytes_to_host: float
    bytes_within_device: float


def count_traffic(model: Model) -> list[DecodeTraffic]:
    """Counts over one answer for each way of choosing tokens."""
    bundle = Bundle.open(model.bundle("f32"))
    counts = []
    with load(bundle, "cpu", threads=1) as device:
        for name, sampling in _SAMPLINGS.items():
            runtime = CountingRuntime(device)
            loop = EngineLoop(name, make_engine(bundle.manifest, runtime), sampling)
            (fewer, before), (more, after) = (
                _count(loop, runtime, model.prompts[0], n) for n in (1, model.max_new_tokens)
            )
            counts.append(per_token(model.name, name, after - before, more - fewer))
    return counts


def _count(
    loop: EngineLoop, runtime: CountingRuntime, prompt: list[int], max_new_tokens: int
) -> tuple[int, Traffic]:
    """Tokens and traffic of one answer."""
    before = copy(runtime.traffic)
    answer = loop.generate(prompt, max_new_tokens)
    return len(answer.tokens), runtime.traffic - before


def per_token(model: str, sampling: str, traffic: Traffic, tokens: int) -> DecodeTraffic:
    return DecodeTraffic(model, sampling, *(count / tokens for count in astuple(traffic)))
