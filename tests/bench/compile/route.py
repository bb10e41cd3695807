"""A layer compiled from our own lowered text, beside the vendor's own way from ONNX."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.compile.command import run
from tests.bench.compile.plan import Plan
from tests.bench.compile.step_time import step_times, work
from tests.bench.model import DEMO_CHECKPOINT
from tests.bench.progress import say
from tests.bench.series import Series

_DEMO_CONTEXT = 512
_ONE_SHAPE = ("--prefill-chunks", ",", "--verify", 0, "--slots", 1)
_SHAPES = {"one shape": _ONE_SHAPE, "all shapes": ()}


@dataclass(frozen=True)
class Route:
    """Both ways of compiling a layer in int4, taking turns.

    Attributes:
        layer: which one.
        shapes: which of its networks.
        networks: how many these are.
        direct: seconds of writing weights and compiling, in each round.
        onnx: seconds of the vendor's importer and driver, in each round.
        direct_peak: bytes of memory of the largest process.
        onnx_peak: the same of the vendor's way.
    """

    layer: str
    shapes: str
    networks: int
    direct: Series
    onnx: Series
    direct_peak: int
    onnx_peak: int


def measure_small_routes(rounds: int, scratch: Path) -> Iterator[Route]:
    """A layer of the demonstration model, in one shape and in all.

    Raises:
        CommandError: a build failed.
    """
    for shapes in _SHAPES:
        yield _measure(_Layer("demo (256 wide)", DEMO_CHECKPOINT, _DEMO_CONTEXT), shapes, rounds, scratch)


def measure_wide_route(plan: Plan, checkpoint: Path, scratch: Path) -> Route:
    """A layer of the checkpoint that is built, in one shape, once. In real widths it needs 16 GB of memory.

    Raises:
        CommandError: a build failed.
    """
    return _measure(_Layer(plan.model, checkpoint, plan.context), "one shape", 1, scratch)


@dataclass(frozen=True)
class _Layer:
    """The first one of a checkpoint, for a bundle of some context."""

    name: str
    checkpoint: Path
    context: int


@dataclass(frozen=True)
class _Turn:
    networks: int
    seconds: float
    peak: int


def _measure(layer: _Layer, shapes: str, rounds: int, scratch: Path) -> Route:
    direct, onnx = [], []
    for number in range(rounds):
        say(f"a layer of {layer.name}, {shapes}: round {number + 1} of {rounds}, our way and the vendor's")
        direct.append(_turn("direct", layer, shapes, scratch))
        onnx.append(_turn("onnx", layer, shapes, scratch))
    return Route(
        layer=layer.name,
        shapes=shapes,
        networks=direct[0].networks,
        direct=Series([turn.seconds for turn in direct]),
        onnx=Series([turn.seconds for turn in onnx]),
        direct_peak=max(turn.peak for turn in direct),
        onnx_peak=max(turn.peak for turn in onnx),
    )


def _turn(frontend: str, layer: _Layer, shapes: str, scratch: Path) -> _Turn:
    place = scratch / "route"
    place.mkdir()
    output = place / "layer.bmodel"
    options = ("--quantize", "int4", "--context", layer.context, *_SHAPES[shapes], "--check", "none", "--jobs", 1)
    target = ("--target", "bm1684x", "--only-layer", 0, "--frontend", frontend)
    usage = run(("build", layer.checkpoint, "-o", output, *target, *options), scratch)
    steps = [step for step in step_times(output) if not step.name.endswith(".add")]
    shutil.rmtree(place)
    networks = sum(not step.name.endswith(".weights") for step in steps)
    return _Turn(networks, work(steps), usage.largest_peak)
