"""A bmodel by itself, without a bundle around it: one layer for debugging, or the original demo's networks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from wizardtpud.errors import BmodelError
from wizardtpud.model.bmodel.header import HEADER_SIZE, Header

from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.errors import OutputError
from wizardtpu_compile.options import TpuOptions
from wizardtpu_compile.steps.progress import NO_STEP_PROGRESS, StepProgress
from wizardtpu_compile.steps.workspace import Workspace
from wizardtpu_compile.targets.tpu.build import TpuBuild, find_toolchain, run_build_steps, workspace_of
from wizardtpu_compile.targets.tpu.frontend import MODEL
from wizardtpu_compile.targets.tpu.wizardcoder import COMBINED, wizardcoder_steps


@dataclass(frozen=True)
class BmodelResult:
    """What was built.

    Attributes:
        path: the bmodel.
        size: bytes.
        similarity: network -> lowest cosine to the reference with the same rounded weights, of those compared.
        seconds: wall-clock time of the build.
    """

    path: Path
    size: int
    similarity: dict[str, float]
    seconds: float


def build_bmodel(
    checkpoint: Path,
    output: Path,
    options: TpuOptions,
    toolchain: Path | None = None,
    progress: StepProgress = NO_STEP_PROGRESS,
) -> BmodelResult:
    """Builds what `options.makes_bundle` says is no bundle, as `build_tpu_bundle` does one.

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
    _check_output(output, options.force)
    opened = Checkpoint.open(checkpoint)
    make = _make_layer if options.layout == "wizardtpu" else _make_wizardcoder
    similarity = make(opened, output, options, toolchain, progress)
    return BmodelResult(output, output.stat().st_size, similarity, time.monotonic() - began)


def _make_layer(
    checkpoint: Checkpoint, output: Path, options: TpuOptions, toolchain: Path | None, progress: StepProgress
) -> dict[str, float]:
    build = TpuBuild(checkpoint, options, toolchain)
    with Workspace(workspace_of(output)) as workspace:
        made = build.run(workspace, progress)
        made.model.replace(output)
        made.journal.unlink()
    return made.similarity


def _make_wizardcoder(
    checkpoint: Checkpoint, output: Path, options: TpuOptions, toolchain: Path | None, progress: StepProgress
) -> dict[str, float]:
    options.check(checkpoint.config)
    context = options.checked_context(checkpoint.config)
    compiler = find_toolchain(options, toolchain)
    with Workspace(workspace_of(output)) as workspace:
        combined = workspace.path(COMBINED) / MODEL
        if not combined.exists():  # it became the output of an earlier build
            workspace.forget(COMBINED)
        steps = list(wizardcoder_steps(checkpoint, options, context, compiler))
        run_build_steps(workspace, steps, options, progress)
        combined.replace(output)
    return {}


def _check_output(output: Path, force: bool) -> None:
    if output.is_dir() or output.is_symlink():
        raise OutputError(f"{output} is not a plain file; -o names the bmodel to make")
    if output.exists() and not force:
        raise OutputError(f"{output} is there already; --force replaces it")
    if output.exists() and not _is_bmodel(output):
        raise OutputError(f"{output} is something that is not a bmodel; choose another path")
    output.parent.mkdir(parents=True, exist_ok=True)


def _is_bmodel(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            Header.unpack(file.read(HEADER_SIZE))
    except BmodelError:
        return False
    return True
