"""From a checkpoint directory to a bundle for the BM1684X, in steps that a later run goes on from."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from wizardtpud.model.bmodel.reading import read_model
from wizardtpud.model.manifest import TOKENIZER_NAME, FileEntry, Manifest, NetworkEntry, Quantization

from wizardtpu_compile.bmodel.assembly import Assembly
from wizardtpu_compile.bundle_writer import BundleWriter
from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.disk import link_or_copy
from wizardtpu_compile.frontend import preflight
from wizardtpu_compile.options import TpuOptions
from wizardtpu_compile.simulation.simulator import Simulator
from wizardtpu_compile.staging import check_output, staged
from wizardtpu_compile.steps.plan import Plan
from wizardtpu_compile.steps.progress import NO_STEP_PROGRESS, StepProgress
from wizardtpu_compile.steps.record import StepRecord
from wizardtpu_compile.steps.runner import run_steps
from wizardtpu_compile.steps.step import Step
from wizardtpu_compile.steps.workspace import Workspace
from wizardtpu_compile.targets.manifest import ManifestMaker
from wizardtpu_compile.targets.result import BuildResult
from wizardtpu_compile.targets.tpu.check import Checker
from wizardtpu_compile.targets.tpu.direct import DirectFrontend
from wizardtpu_compile.targets.tpu.frontend import CYCLES, Frontend
from wizardtpu_compile.targets.tpu.host_memory import available_memory
from wizardtpu_compile.targets.tpu.onnx import OnnxFrontend
from wizardtpu_compile.targets.tpu.plan import MODEL_NAME, TpuNetwork, plan
from wizardtpu_compile.targets.tpu.steps import StepMaker, add_step
from wizardtpu_compile.toolchain.toolchain import Toolchain

_SHARE_OF_MEMORY = 0.8  # the rest is for everybody else, and for what estimates do not see


def build_tpu_bundle(
    checkpoint: Path,
    output: Path,
    options: TpuOptions,
    toolchain: Path | None = None,
    progress: StepProgress = NO_STEP_PROGRESS,
) -> BuildResult:
    """Builds a bundle for the BM1684X.

    What is finished of it is kept in ``<output>.build`` beside it until the bundle is whole, whatever ends the
    process; only the logs of the steps remain then.

    Args:
        checkpoint: a GPTBigCode directory of Hugging Face.
        output: the bundle directory to make.
        options: what to make of it.
        toolchain: where the vendor's compiler is installed, if not in its usual place.
        progress: is told about each step.

    Raises:
        CheckpointError: the checkpoint is damaged, incomplete or of another kind.
        OptionError: an option does not fit the checkpoint.
        OutputError: the output is taken.
        ToolchainError: the vendor's compiler is not installed.
        StepError: a step failed.
        OSError: reading or writing failed, such as on a full disk.
    """
    began = time.monotonic()
    output = output.absolute()
    check = functools.partial(check_output, output, options.force)
    check()
    build = TpuBuild(Checkpoint.open(checkpoint), options, toolchain)
    with Workspace(workspace_of(output)) as workspace:
        made = build.run(workspace, progress)
        with staged(output, check) as directory:
            manifest = build.write(directory, made)
        made.remove()
    return BuildResult(output, manifest, made.similarity, time.monotonic() - began, made.peak_memory)


def workspace_of(output: Path) -> Path:
    """Where what is finished of an output is kept."""
    return output.with_name(f"{output.name}.build")


@dataclass(frozen=True)
class Made:
    """A bmodel in the workspace, and what is known of the steps that made it."""

    model: Path
    journal: Path
    file: FileEntry
    records: Mapping[str, StepRecord]

    @property
    def similarity(self) -> dict[str, float]:
        """Network -> lowest cosine to the reference with the same rounded weights, of those compared."""
        return {
            record.report["network"]: record.report["compiler"]
            for record in self.records.values()
            if "compiler" in record.report
        }

    @property
    def peak_memory(self) -> int:
        """Bytes, of the largest program that a step ran."""
        return max((record.peak_memory or 0 for record in self.records.values()), default=0)

    def remove(self) -> None:
        """Takes the bmodel out of the workspace; first the file, for one without a journal would be in the way."""
        self.model.unlink()
        self.journal.unlink()


class TpuBuild:
    """A build whose options have been checked against the checkpoint."""

    def __init__(self, checkpoint: Checkpoint, options: TpuOptions, toolchain: Path | None) -> None:
        """`toolchain` is where the vendor's compiler is, if not in its usual place."""
        options.check(checkpoint.config)
        self._checkpoint, self._options = checkpoint, options
        self._manifest = ManifestMaker(checkpoint, options)
        self._planned = plan(checkpoint, options, self._manifest.context)
        self._toolchain = find_toolchain(options, toolchain)

    def run(self, workspace: Workspace, progress: StepProgress) -> Made:
        """Makes the bmodel, or what is missing of it."""
        assembly = Assembly.open(workspace.directory / MODEL_NAME)
        steps = list(StepMaker(self._frontend(), self._checker(), assembly).steps(self._planned))
        _reconcile(workspace, assembly, steps, self._planned)
        records = run_build_steps(workspace, steps, self._options, progress, self._disk_limit())
        finished = assembly.finish()
        entry = FileEntry(bytes=finished.size, sha256=finished.sha256)
        return Made(assembly.path, assembly.journal, entry, records)

    def write(self, directory: Path, made: Made) -> Manifest:
        """Puts the bundle's files into a directory on the same file system."""
        writer = BundleWriter(directory)
        writer.add(TOKENIZER_NAME, self._checkpoint.tokenizer.read_bytes())
        link_or_copy(made.model, directory / MODEL_NAME)
        writer.files[MODEL_NAME] = made.file
        entries = [_with_cycles(network.entry, made.records) for network in self._planned]
        tools = {"tpu_mlir": self._toolchain.version}
        model = read_model(made.model)
        manifest = self._manifest.make("bm1684x", self._quantization(), entries, writer.files, tools, model)
        writer.finish(manifest)
        return manifest

    def _disk_limit(self) -> int:
        """What may lie beside the bundle's file: half of what that will be, and one layer in all its shapes."""
        networks = {network.description.name: network for network in self._planned}
        blocks = [network.stored_bytes for network in networks.values() if network.entry.role == "block"]
        shapes = len(self._options.shapes(self._manifest.context))
        return sum(n.stored_bytes for n in networks.values()) // 2 + (1 + shapes) * max(blocks)

    def _frontend(self) -> Frontend:
        fingerprint = self._checkpoint.fingerprint()
        if self._options.frontend == "onnx":
            return OnnxFrontend(fingerprint, self._toolchain)
        return DirectFrontend(fingerprint, self._toolchain, self._options.num_device)

    def _checker(self) -> Checker:
        checks = self._options.check_networks if self._options.num_device == 1 else "none"  # the simulator has one
        return Checker(self._checkpoint.config, Simulator(self._toolchain.simulator), checks)

    def _quantization(self) -> Quantization:
        options = self._options
        forms = [options.weight_format(role) for role in ("block", "lm_head")]
        return Quantization(
            blocks=options.precision("block"),
            lm_head=options.precision("lm_head"),
            embedding=options.float,
            group_size=next((form.group_size for form in forms if form.group_size), None),
        )


def find_toolchain(options: TpuOptions, directory: Path | None) -> Toolchain:
    """The toolchain in a directory or in its usual place.

    Raises:
        OptionError: an option makes no sense with the front end that is asked for.
        ToolchainError: it is not installed, or lacks that front end.
    """
    toolchain = Toolchain.find(directory)
    if options.frontend == "onnx":
        preflight.check(options, toolchain)
    return toolchain


def run_build_steps(
    workspace: Workspace,
    steps: Sequence[Step],
    options: TpuOptions,
    progress: StepProgress,
    disk_limit: int | None = None,
) -> dict[str, StepRecord]:
    """Runs steps side by side, as many as asked for or as this machine has CPUs and memory for."""
    limit = int(available_memory() * _SHARE_OF_MEMORY)
    jobs = options.jobs or len(os.sched_getaffinity(0))
    return run_steps(workspace, steps, jobs, limit, progress, disk_limit=disk_limit)


def _reconcile(
    workspace: Workspace, assembly: Assembly, steps: Sequence[Step], planned: Sequence[TpuNetwork]
) -> None:
    """Makes the records and the bundle's file say the same.

    The process may have been killed between an addition and its record, or steps may have been planned anew.
    """
    missing = workspace.missing(Plan(steps))
    assembly.retain([shape.entry.name for shape in planned if add_step(shape) not in missing])
    for shape in planned:
        if not assembly.contains(shape.entry.name):
            workspace.forget(add_step(shape))


def _with_cycles(entry: NetworkEntry, records: Mapping[str, StepRecord]) -> NetworkEntry:
    return msgspec.structs.replace(entry, cycles=records[entry.name].report[CYCLES] or None)
