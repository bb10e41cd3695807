"""Advice on shapes: some compile badly, so that a larger one is faster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from wizardtpu_compile.estimate.cost import CYCLES_PER_MILLISECOND, StepCosts, block_nets
from wizardtpu_compile.estimate.memory import DEVICE_MEMORY
from wizardtpu_compile.estimate.report import Memory


def step_hints(costs: StepCosts, context: int, counts: Sequence[int], slots: Sequence[int]) -> Iterator[str]:
    """Steps that cost more than larger ones."""
    single = {count: costs.cycles(block_nets(1, count, context)) for count in counts}
    batched = {count: costs.cycles(block_nets(count, 1, context)) for count in slots}
    yield from _beaten(single, "a step of {} tokens")
    yield from _beaten(batched, "a step of {} slots")


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
