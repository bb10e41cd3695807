"""Compiles the networks of an estimate, at real size and with blank weights."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import msgspec
from wizardtpud.model.bmodel.reading import read_model

from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.checkpoint.config import ModelConfig
from wizardtpu_compile.emit.tpu import emit
from wizardtpu_compile.estimate.blank_weights import write_blank_weights
from wizardtpu_compile.estimate.cost import Costs, NetCost, NetShape
from wizardtpu_compile.estimate.options import EstimateOptions
from wizardtpu_compile.network import gpt_bigcode
from wizardtpu_compile.network.description import Network, Role
from wizardtpu_compile.options.tpu import WeightPrecision
from wizardtpu_compile.precision import WeightFormat
from wizardtpu_compile.steps.progress import StepProgress
from wizardtpu_compile.steps.runner import run_steps
from wizardtpu_compile.steps.step import PEAK_MEMORY, Step, StepDirectory, StepReport
from wizardtpu_compile.steps.temporary import temporary_workspace
from wizardtpu_compile.targets.tpu.frontend import MB, compiling_memory, compiling_seconds, digest
from wizardtpu_compile.targets.tpu.host_memory import available_memory
from wizardtpu_compile.toolchain.compiler import compile_network
from wizardtpu_compile.toolchain.toolchain import Toolchain

Group = tuple[Role, WeightFormat]
"""Networks that share their weights."""


def compile_costs(
    config: ModelConfig,
    options: EstimateOptions,
    toolchain: Toolchain,
    jobs: int | None,
    progress: StepProgress,
) -> dict[WeightPrecision, Costs]:
    """For each precision the costs of the networks of all contexts; what several need is compiled once.

    Args:
        config: the architecture.
        options: checked against `config`.
        toolchain: what compiles.
        jobs: networks compiled at once, as memory allows; absent: one for each CPU.
        progress: told about each step.

    Raises:
        StepError: a network does not compile.
    """
    needed = _needed(config, options)
    maker = _StepMaker(Checkpoint(Path(), config, [], {}), toolchain, options.num_device)
    steps = [step for group, nets in needed.items() for step in maker.steps(group, nets)]
    with temporary_workspace("wizardtpu-estimate.") as workspace:
        records = run_steps(workspace, steps, jobs or len(os.sched_getaffinity(0)), available_memory(), progress)
    costs = {
        (net, form): msgspec.convert(records[_name(net.name, form)].report[_COST], NetCost)
        for (_, form), nets in needed.items()
        for net in nets
    }
    return {precision: _of_precision(options, precision, costs) for precision in options.precisions}


_COST = "cost"
_ROWS = 64  # of an embedding's tables
_WEIGHTS = "weights.npz"


def _needed(config: ModelConfig, options: EstimateOptions) -> dict[Group, list[NetShape]]:
    """What to compile, each once; those that share weights together."""
    groups: dict[Group, dict[NetShape, None]] = {}
    for precision in options.precisions:
        build = options.build_options(precision)
        for context in options.checked_contexts(config):
            for net in options.nets(context):
                groups.setdefault((net.role, build.weight_format(net.role)), {})[net] = None
    return {group: list(nets) for group, nets in groups.items()}


def _of_precision(
    options: EstimateOptions, precision: WeightPrecision, costs: Mapping[tuple[NetShape, WeightFormat], NetCost]
) -> Costs:
    build = options.build_options(precision)
    return {net: cost for (net, form), cost in costs.items() if form == build.weight_format(net.role)}


def _name(what: str, form: WeightFormat) -> str:
    """Of a step."""
    return f"{what}.w{form.bits}{form.float}"


@dataclass(frozen=True)
class _StepMaker:
    """Makes the steps of groups: blank weights, then shape by shape; the checkpoint has no files."""

    checkpoint: Checkpoint
    toolchain: Toolchain
    devices: int

    def steps(self, group: Group, nets: Sequence[NetShape]) -> Iterator[Step]:
        role, form = group
        network, shared = self._describe(role), _name(f"{role}.weights", form)
        file = f"../{shared}/{_WEIGHTS}"
        texts = [emit(network, net.name, net.sizes, form, file, devices=self.devices) for net in nets]
        stored = network.parameters * form.bits // 8
        yield _blank_weights(shared, texts[0], stored)
        for net, text in zip(nets, texts, strict=True):
            yield Step(
                name=_name(net.name, form),
                digest=digest(text, self.toolchain.version),
                needs=(shared,),
                memory=compiling_memory(stored),
                work=compiling_seconds(stored),
                run=partial(self._compile, text, self._left_out(role, form)),
                discards=(shared,) if net is nets[-1] else (),
            )

    def _compile(self, text: str, left_out: int, directory: StepDirectory) -> StepReport:
        """Tells what the network costs, `left_out` bytes of weights included."""
        mlir, bmodel = directory.path / "net.mlir", directory.path / "net.bmodel"
        mlir.write_text(text, encoding="utf-8")
        made = compile_network(self.toolchain, mlir, bmodel, directory.log, directory.cancelled)
        model = read_model(bmodel)
        bmodel.unlink()
        largest = max(map(model.memory, range(model.devices)), key=lambda memory: memory.total)
        cycles = made.cycles // model.devices  # added up over the devices, which do equal work at the same time
        weights = largest.weights + left_out
        cost = NetCost(cycles, weights, largest.instructions, largest.scratch)
        return {_COST: cost, PEAK_MEMORY: made.peak_memory}

    def _describe(self, role: Role) -> Network:
        if role == "block":
            return gpt_bigcode.block(self.checkpoint, 0)
        if role == "embedding":
            return gpt_bigcode.embedding(self._with_small_tables())
        return (
            gpt_bigcode.lm_head(self.checkpoint) if role == "lm_head" else gpt_bigcode.greedy_head(self.checkpoint)
        )

    def _with_small_tables(self) -> Checkpoint:
        """Fetching a row costs the same whatever the size of the table, which takes the compiler long to write."""
        config = msgspec.structs.replace(self.checkpoint.config, vocab_size=_ROWS, n_positions=_ROWS)
        return replace(self.checkpoint, config=config)

    def _left_out(self, role: Role, form: WeightFormat) -> int:
        """Bytes of the embedding's tables beyond the small ones."""
        if role != "embedding":
            return 0
        whole, small = (gpt_bigcode.embedding(c).parameters for c in (self.checkpoint, self._with_small_tables()))
        return (whole - small) * form.dtype.itemsize


def _blank_weights(name: str, text: str, stored: int) -> Step:
    def run(directory: StepDirectory) -> StepReport:
        write_blank_weights(text, directory.path / _WEIGHTS)
        return {}

    return Step(name, digest(text), needs=(), memory=100 * MB, work=0.1 + stored / (500 * MB), run=run)
