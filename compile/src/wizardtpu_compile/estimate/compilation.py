"""Compiles the networks of an estimate, at real size and with blank weights."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from wizardtpu_compile.bmodel.reading import read_model
from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.checkpoint.config import ModelConfig
from wizardtpu_compile.emit.tpu import emit
from wizardtpu_compile.estimate.blank_weights import write_blank_weights
from wizardtpu_compile.estimate.cost import Costs, NetCost, NetShape
from wizardtpu_compile.estimate.options import EstimateOptions
from wizardtpu_compile.estimate.progress import EstimateProgress
from wizardtpu_compile.network import gpt_bigcode
from wizardtpu_compile.network.description import Network, Role
from wizardtpu_compile.options.tpu import WeightPrecision
from wizardtpu_compile.precision import WeightFormat
from wizardtpu_compile.targets.tpu.host_memory import available_memory
from wizardtpu_compile.toolchain.compiler import compile_network
from wizardtpu_compile.toolchain.toolchain import Toolchain

Group = tuple[Role, WeightFormat]
"""Networks that share their weights."""


def compile_costs(
    config: ModelConfig, options: EstimateOptions, toolchain: Toolchain, jobs: int, progress: EstimateProgress
) -> dict[WeightPrecision, Costs]:
    """For each precision the costs of the networks of all contexts; what several need is compiled once.

    Args:
        config: the architecture.
        options: checked against `config`.
        toolchain: what compiles.
        jobs: networks compiled at once.
        progress: told about each network; closed by the caller.

    Raises:
        ToolchainError: a network does not compile.
    """
    needed = _needed(config, options)
    progress.start(sum(map(len, needed.values())))
    costs: dict[Group, Costs] = {}
    with tempfile.TemporaryDirectory(prefix="wizardtpu-estimate.") as name:
        workshop = _Workshop(Checkpoint(Path(), config, [], {}), toolchain, options.num_device, Path(name))
        for group, nets in needed.items():
            costs[group] = workshop.compile(group, nets, jobs, progress)
    return {precision: _of_precision(options, precision, costs) for precision in options.precisions}


def default_jobs() -> int:
    """One for each CPU, as far as memory allows."""
    return max(1, min(len(os.sched_getaffinity(0)), available_memory() // _LARGEST))


_ROWS = 64  # of an embedding's tables
_LARGEST = 2_500_000_000  # bytes: what compiling a layer of WizardCoder-15B takes at f16; at int4 it is a third


def _needed(config: ModelConfig, options: EstimateOptions) -> dict[Group, list[NetShape]]:
    """What to compile, each once; those that share weights together."""
    groups: dict[Group, dict[NetShape, None]] = {}
    for precision in options.precisions:
        build = options.build_options(precision)
        for context in options.checked_contexts(config):
            for net in options.nets(context):
                groups.setdefault((net.role, build.weight_format(net.role)), {})[net] = None
    return {group: list(nets) for group, nets in groups.items()}


def _of_precision(options: EstimateOptions, precision: WeightPrecision, costs: Mapping[Group, Costs]) -> Costs:
    build = options.build_options(precision)
    roles: Sequence[Role] = ("embedding", "block", "lm_head", "greedy_head")
    return {net: cost for role in roles for net, cost in costs[role, build.weight_format(role)].items()}


@dataclass(frozen=True)
class _Workshop:
    """A directory to compile in, with the weights of one group at a time; the checkpoint has no files."""

    checkpoint: Checkpoint
    toolchain: Toolchain
    devices: int
    directory: Path

    def compile(self, group: Group, nets: list[NetShape], jobs: int, progress: EstimateProgress) -> Costs:
        role, form = group
        weights, network = self.directory / "weights.npz", self._describe(role)
        texts = {net: emit(network, net.name, net.sizes, form, weights.name, devices=self.devices) for net in nets}
        write_blank_weights(texts[nets[0]], weights)
        ended, pool = threading.Event(), ThreadPoolExecutor(jobs)
        try:
            futures = {pool.submit(self._compile, net.name, text, ended): net for net, text in texts.items()}
            extra = self._left_out(role, form)
            return {
                net: replace(cost, weights=cost.weights + extra) for net, cost in _collect(futures, form, progress)
            }
        finally:
            ended.set()  # nothing is left to do, or something failed or interrupted
            pool.shutdown(cancel_futures=True)
            weights.unlink()

    def _compile(self, name: str, text: str, cancelled: threading.Event) -> NetCost:
        mlir, bmodel, log = (self.directory / f"{name}.{kind}" for kind in ("mlir", "bmodel", "log"))
        mlir.write_text(text, encoding="utf-8")
        cycles = compile_network(self.toolchain, mlir, bmodel, log, cancelled).cycles
        model = read_model(bmodel)
        bmodel.unlink()
        largest = max(map(model.memory, range(model.devices)), key=lambda memory: memory.total)
        cycles //= model.devices  # added up over the devices, which do equal work at the same time
        return NetCost(cycles, largest.weights, largest.instructions, largest.tensors, largest.scratch)

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


def _collect(
    futures: Mapping[Future[NetCost], NetShape], form: WeightFormat, progress: EstimateProgress
) -> Iterator[tuple[NetShape, NetCost]]:
    for future in as_completed(futures):
        yield futures[future], future.result()
        progress.finish(f"{futures[future].name}, {form.bits} bits")
