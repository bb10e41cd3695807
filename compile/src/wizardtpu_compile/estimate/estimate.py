"""From an architecture to a report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from wizardtpu_compile.checkpoint.config import ModelConfig
from wizardtpu_compile.estimate.compilation import compile_costs, default_jobs
from wizardtpu_compile.estimate.compose import compose
from wizardtpu_compile.estimate.options import EstimateOptions
from wizardtpu_compile.estimate.progress import EstimateProgress, NoProgress
from wizardtpu_compile.estimate.report import Report
from wizardtpu_compile.toolchain.toolchain import Toolchain


def estimate(
    model: str,
    config: ModelConfig,
    options: EstimateOptions,
    *,
    toolchain: Path | None = None,
    jobs: int | None = None,
    start_progress: Callable[[], EstimateProgress] = NoProgress,
) -> Report:
    """What a model will do on the chip, as far as the compiler's cycle model can tell.

    Args:
        model: its name.
        config: its architecture.
        options: what to look at.
        toolchain: where the vendor's compiler is; absent: in its default place.
        jobs: networks compiled at once; absent: one for each CPU, as memory allows.
        start_progress: called once everything has been checked.

    Raises:
        OptionError: an option does not fit the architecture.
        ToolchainError: there is no compiler, or it fails.
    """
    options.check(config)
    compiler = Toolchain.find(toolchain)
    progress = start_progress()
    try:
        costs = compile_costs(config, options, compiler, jobs or default_jobs(), progress)
    finally:
        progress.close()
    return compose(model, config, options, costs, compiler.version)
