"""Advice on shapes: some compile badly, so that a larger one is faster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from wizardtpu_compile.estimate.cost import CYCLES_PER_MILLISECOND, StepCosts, block_nets
from wizardtpu_compile.estimate.memory import DEVICE_MEMORY
from wizardtpu_compile.estimate.prefill import engine_steps, least_cycles
from wizardtpu_compile.estimate.report import Memory
from wizardtpu_compile.estimate.speed import PROMPTS

NOTABLE = 0.95
"""What part of the time the best steps may take, at most, to be worth a word."""


def step_hints(costs: StepCosts, context: int, counts: Sequence[int], slots: Sequence[int]) -> Iterator[str]:
    """Steps that cost more than larger ones, and prompts the engine would read faster without some of them."""
    single = {count: costs.cycles(block_nets(1, count, context)) for count in counts}
    batched = {count: costs.cycles(block_nets(count, 1, context)) for count in slots}
    yield from _beaten(single, "a step of {} tokens")
    yield from _beaten(batched, "a step of {} slots")
    yield from _long_way(single, context)


def memory_hints(memories: Sequence[Memory]) -> Iterator[str]:
    """The first number of slots that leaves the memory of a device."""
    for memory in memories:
        if memory.total > DEVICE_MEMORY:
            yield (
                f"with {slots_text(memory.slots)} it takes {memory.total / 1e9:.1f} GB, more than the "
                f"{DEVICE_MEMORY / 1e9:.1f} GB that a device of 16 GB has for the TPU"
            )
            return


def slots_text(slots: int) -> str:
    return f"{slots} slot{'s' * (slots > 1)}"


def _beaten(cycles: Mapping[int, int], subject: str) -> Iterator[str]:
    for count, cost in cycles.items():
        larger = {other: value for other, value in cycles.items() if other > count}
        best = min(larger, key=larger.__getitem__, default=count)
        if count > 1 and cost > cycles[best]:
            times = (
                f"{cost / CYCLES_PER_MILLISECOND:.1f} ms against {cycles[best] / CYCLES_PER_MILLISECOND:.1f} ms"
            )
            yield f"{subject.format(count)} takes longer than one of {best} ({times}): use {best} instead"


def _long_way(cycles: Mapping[int, int], context: int) -> Iterator[str]:
    """The length of prompt that the engine's rule makes slower than need be, by the largest part."""
    counts = sorted(cycles)
    prompts = [prompt for prompt in PROMPTS if prompt < context]
    taken = {prompt: sum(cycles[step] for step in engine_steps(prompt, counts)) for prompt in prompts}
    shares = {prompt: least_cycles(prompt, cycles) / taken[prompt] for prompt in prompts}
    worst = min(shares, key=shares.__getitem__, default=None)
    if worst is not None and shares[worst] < NOTABLE:
        steps = ", ".join(map(str, engine_steps(worst, counts)))
        yield (
            f"a prompt of {worst} tokens is read in steps of {steps}; other steps of these would take "
            f"{shares[worst]:.0%} of the time: change --prefill-chunks"
        )
