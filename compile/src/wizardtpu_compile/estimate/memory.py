"""What a bundle occupies, on disk and on a device."""

from __future__ import annotations

from collections.abc import Sequence

from wizardtpu_compile.checkpoint.config import ModelConfig
from wizardtpu_compile.estimate.cost import NetShape, StepCosts
from wizardtpu_compile.estimate.report import Memory

DEVICE_MEMORY = 14336 << 20
"""Bytes for the TPU of a 16 GB machine: the heaps (npu 7168, vpu 3072, vpp 4096 MiB) that the guide to the
vendor's LLM-TPU tells to set. A PCIe card of 16 GB has somewhat more."""
_ELEMENT = 2  # bytes of a cached number: keys and values are f16 or bf16


def cache_bytes(config: ModelConfig, context: int) -> int:
    """Keys and values of one sequence in all layers; there is one head of each."""
    return config.n_layer * 2 * context * config.head_dim * _ELEMENT


def memory(steps: StepCosts, nets: Sequence[NetShape], slots: int, cache: int) -> Memory:
    """Of a bundle of `nets` and so many slots, with `cache` bytes for each."""
    weights, instructions = _weights(steps, nets), _instructions(steps, nets)
    scratch = max(steps.costs[net].scratch for net in nets)
    return Memory(
        slots=slots,
        bundle=weights + instructions,
        weights=weights,
        instructions=instructions,
        scratch=scratch,
        cache=slots * cache,
        total=weights + instructions + scratch + slots * cache,
    )


def _weights(steps: StepCosts, nets: Sequence[NetShape]) -> int:
    """Shapes of the same network share their weights, unless the compiler arranges them differently for some."""
    shared = {(net.role, steps.costs[net].weights): steps.count(net) * steps.costs[net].weights for net in nets}
    return sum(shared.values())


def _instructions(steps: StepCosts, nets: Sequence[NetShape]) -> int:
    """Every shape of every network has its own."""
    return sum(steps.count(net) * steps.costs[net].instructions for net in nets)
