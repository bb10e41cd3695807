"""Bundles of the demonstration model for the chip, and what they answer on the simulator."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tests.bench.compile.command import Usage, run
from tests.bench.model import DEMO_CHECKPOINT, QUESTIONS
from tests.bench.progress import say

_PRECISIONS = ("f16", "int8", "int4")
_SHAPES = "1x1,1x8,8x1"


@dataclass(frozen=True)
class DemoBundle:
    """A bundle and how it compares with its checkpoint.

    Attributes:
        size: bytes.
        seconds: of the build, without comparing anything.
        compared: networks that were compared by themselves: those of 64 tokens take long, and read the prompts.
        lowest_cosine: of these, between their outputs and those of the same rounded weights.
        prompts: how many were continued.
        tokens: generated greedily on the simulator, by the daemon's engine.
        equal_to_float: how many of them the float reference would have chosen.
        equal_to_rounded: how many the reference with the same rounded weights would have chosen.
    """

    precision: str
    size: int
    networks: int
    seconds: float
    compared: int
    lowest_cosine: float
    prompts: int
    tokens: int
    equal_to_float: int
    equal_to_rounded: int


def measure_demo_bundles(questions: int, tokens: int, scratch: Path) -> list[DemoBundle]:
    """Builds one after the other, then verifies them side by side: how long that takes is not told.

    Raises:
        CommandError: a build failed, or a network is wrong.
    """
    say(f"building the demonstration model in {', '.join(_PRECISIONS)}")
    built = [_build(precision, scratch) for precision in _PRECISIONS]
    say("comparing the bundles with their checkpoint on the simulator")
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        verified = [pool.submit(_verify, bundle, questions, tokens) for bundle in built]
        return [future.result() for future in verified]


@dataclass(frozen=True)
class _Built:
    precision: str
    place: Path
    usage: Usage

    @property
    def bundle(self) -> Path:
        return self.place / "bundle"


def _build(precision: str, scratch: Path) -> _Built:
    place = scratch / f"demo-{precision}"
    place.mkdir()
    target = ("--target", "bm1684x", "--quantize", precision, "--check", "none", "--json")
    return _Built(precision, place, run(("build", DEMO_CHECKPOINT, "-o", place / "bundle", *target), place))


def _verify(built: _Built, questions: int, tokens: int) -> DemoBundle:
    prompts = [word for question in QUESTIONS[:questions] for word in ("--prompt", question)]
    verify = ("verify", built.bundle, "--against", DEMO_CHECKPOINT, "--shapes", _SHAPES, "--tokens", tokens)
    verified = msgspec.json.decode(run((*verify, *prompts, "--json"), built.place).output)
    result, greedy = msgspec.json.decode(built.usage.output), verified["greedy"]
    return DemoBundle(
        precision=built.precision,
        size=result["bytes"],
        networks=result["networks"],
        seconds=built.usage.seconds,
        compared=len(verified["networks"]),
        lowest_cosine=min(seen["compiler"] for seen in verified["networks"]),
        prompts=len(greedy["prompts"]),
        tokens=greedy["float_reference"]["tokens"],
        equal_to_float=greedy["float_reference"]["equal"],
        equal_to_rounded=greedy["quantized_reference"]["equal"],
    )
