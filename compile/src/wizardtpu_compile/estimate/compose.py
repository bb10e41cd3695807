"""From the costs of single networks to what a model will do."""

from __future__ import annotations

from collections.abc import Mapping

from wizardtpu_compile.checkpoint.config import ModelConfig
from wizardtpu_compile.estimate.cost import Costs, NetShape, StepCosts
from wizardtpu_compile.estimate.hints import memory_hints, step_hints
from wizardtpu_compile.estimate.memory import DEVICE_MEMORY, cache_bytes, memory
from wizardtpu_compile.estimate.options import EstimateOptions
from wizardtpu_compile.estimate.report import (
    BASIS,
    ContextReport,
    NetReport,
    PrecisionReport,
    Report,
)
from wizardtpu_compile.estimate.speed import decoding, first_tokens, verification
from wizardtpu_compile.options.tpu import WeightPrecision


def compose(
    model: str,
    config: ModelConfig,
    options: EstimateOptions,
    costs: Mapping[WeightPrecision, Costs],
    toolchain: str,
) -> Report:
    """The report on a model.

    Args:
        model: its name.
        config: its architecture; need not be that of a checkpoint at hand.
        options: checked against `config`.
        costs: for each precision asked for, those of the networks of every context asked for.
        toolchain: version of the compiler that told the costs.
    """
    return Report(
        model=model,
        layers=config.n_layer,
        hidden=config.n_embd,
        heads=config.n_head,
        vocabulary=config.vocab_size,
        positions=config.n_positions,
        devices=options.num_device,
        toolchain=toolchain,
        basis=BASIS,
        memory_budget=DEVICE_MEMORY,
        precisions=[
            _precision(config, options, precision, costs[precision])
            for precision in dict.fromkeys(options.precisions)
        ],
    )


def _precision(
    config: ModelConfig, options: EstimateOptions, precision: WeightPrecision, costs: Costs
) -> PrecisionReport:
    build = options.build_options(precision)
    return PrecisionReport(
        blocks=precision,
        lm_head=build.precision("lm_head"),
        group_size=build.weight_format("block").group_size,
        contexts=[_context(config, options, context, costs) for context in options.checked_contexts(config)],
    )


def _context(config: ModelConfig, options: EstimateOptions, context: int, costs: Costs) -> ContextReport:
    steps = StepCosts(config.n_layer, costs)
    counts, batches = options.token_counts(context), options.batches()
    cache = cache_bytes(config, context)
    memories = [memory(steps, options.bundle(context, slots), slots, cache) for slots in batches]
    return ContextReport(
        context=context,
        first_token=list(first_tokens(steps, context, counts)),
        decoding=[decoding(steps, context, slots) for slots in batches],
        verification=[verification(steps, context, tokens) for tokens in options.verified(context)],
        memory=memories,
        networks=[_net(net, costs) for net in options.nets(context)],
        hints=[*step_hints(steps, context, counts, batches), *memory_hints(memories)],
    )


def _net(net: NetShape, costs: Costs) -> NetReport:
    cost = costs[net]
    return NetReport(net.name, cost.cycles, cost.weights, cost.instructions, cost.scratch)
