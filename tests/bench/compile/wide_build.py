"""A build of two layers, and what it says of forty."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from wizardtpu_compile.targets.tpu.plan import MODEL_NAME
from wizardtpud.model.bmodel.reading import read_model
from wizardtpud.model.bundle import Bundle

from tests.bench.compile.command import Command
from tests.bench.compile.disk import DiskWatch
from tests.bench.compile.plan import LAYERS, PUBLISHED_LAYERS, Plan
from tests.bench.compile.step_time import StepTime, span, step_times, work
from tests.bench.progress import say


@dataclass(frozen=True)
class WideBuild:
    """An uninterrupted build; bytes and seconds as measured, but for what is said to be for forty layers.

    Attributes:
        jobs: steps that ran at once.
        seconds: of the whole command.
        own_peak: memory of the command's own process.
        largest_peak: memory of the largest process.
        bundle: size of the bundle.
        disk_peak: most that bundle and work directory took together while it was made.
        disk_peak_of_blocks: most that layers and heads took besides the bundle's file.
        layer_in_bundle: what a layer adds to the bundle.
        sha256: of the bundle's bmodel.
    """

    model: str
    context: int
    jobs: int
    seconds: float
    own_peak: int
    largest_peak: int
    bundle: int
    disk_peak: int
    disk_peak_of_blocks: int
    layer_in_bundle: int
    sha256: str
    steps: list[StepTime]

    @property
    def layer_work(self) -> float:
        """Seconds of a layer's steps, one after the other, on average."""
        return work(self._layers) / LAYERS

    @property
    def layer_span(self) -> float:
        """Seconds of wall clock for a layer, from the first step of the first to the last step of the last."""
        return span(self._layers) / LAYERS

    @property
    def layer_files(self) -> int:
        """Bytes of all files that the steps of a layer make."""
        return sum(step.files for step in self._layers) // LAYERS

    @property
    def embedding_work(self) -> float:
        return work([step for step in self.steps if step.group == "embedding"])

    @property
    def heads_work(self) -> float:
        return work([step for step in self.steps if step.group.endswith("_head")])

    @property
    def outside(self) -> float:
        """Seconds before the first step and after the last, where the bundle's sha256 is made."""
        return self.seconds - span(self.steps)

    @property
    def largest_step(self) -> StepTime:
        return max(self.steps, key=lambda step: step.peak_memory)

    def seconds_of(self, layers: int) -> float:
        """For so many layers, if all cores are busy all the time."""
        steps = layers * self.layer_work + self.embedding_work + self.heads_work
        return steps / self.jobs + self.outside * self.bundle_of(layers) / self.bundle

    def bundle_of(self, layers: int) -> int:
        """Bytes of a bundle with so many layers."""
        return self.bundle + (layers - LAYERS) * self.layer_in_bundle

    @property
    def full_disk_peak(self) -> int:
        """At most for forty layers: the embedding comes first, and its files are gone when the bundle grows."""
        return max(self.disk_peak, self.bundle_of(PUBLISHED_LAYERS) + self.disk_peak_of_blocks)

    def disk_limit(self, layers: int) -> float:
        return 1.5 * self.bundle_of(layers) + self.layer_files

    @property
    def _layers(self) -> Sequence[StepTime]:
        return [step for step in self.steps if step.is_layer]


def build_arguments(checkpoint: Path, output: Path, context: int) -> list[object]:
    """The usual networks, none run on the simulator: for a model this large that takes many minutes."""
    return [
        *("build", checkpoint, "-o", output, "--target", "bm1684x", "--quantize", "int4"),
        *("--context", context, "--check", "none", "--json"),
    ]


def measure_wide_build(plan: Plan, checkpoint: Path, scratch: Path) -> WideBuild:
    """Builds once.

    Raises:
        CommandError: the build failed.
    """
    say(f"building {LAYERS} layers: {plan.model}")
    place = scratch / "uninterrupted"
    place.mkdir()
    output, watch = place / "bundle", DiskWatch(place)
    with Command(build_arguments(checkpoint, output, plan.context), scratch) as command:
        usage = command.finish(watch)
    result = msgspec.json.decode(usage.output)
    return WideBuild(
        model=plan.model,
        context=plan.context,
        jobs=len(os.sched_getaffinity(0)),
        seconds=usage.seconds,
        own_peak=usage.own_peak,
        largest_peak=usage.largest_peak,
        bundle=result["bytes"],
        disk_peak=watch.peak,
        disk_peak_of_blocks=watch.peak_of_blocks,
        layer_in_bundle=_layer_in_bundle(output / MODEL_NAME),
        sha256=Bundle.open(output).manifest.files[MODEL_NAME].sha256,
        steps=step_times(output),
    )


def _layer_in_bundle(model: Path) -> int:
    """Weights once, instructions of each shape."""
    nets = [net for net in read_model(model).nets if net.name.startswith("block_0_")]
    stages = [stage for net in nets for stage in net.stages]
    return max(stage.weights for stage in stages) + sum(stage.instructions for stage in stages)
