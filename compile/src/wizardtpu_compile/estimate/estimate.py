"""From an architecture to a report."""

from __future__ import annotations

from pathlib import Path

from wizardtpu_compile.checkpoint.config import ModelConfig
from wizardtpu_compile.estimate.compilation import compile_costs
from wizardtpu_compile.estimate.compose import compose
from wizardtpu_compile.estimate.options import EstimateOptions
from wizardtpu_compile.estimate.report import Report
from wizardtpu_compile.steps.progress import NO_STEP_PROGRESS, StepProgress
from wizardtpu_compile.toolchain.toolchain import Toolchain


def estimate(
    model: str,
    config: ModelConfig,
    options: EstimateOptions,
    *,
    toolchain: Path | None = None,
    jobs: int | None = None,
    progress: StepProgress = NO_STEP_PROGRESS,
) -> Report:
    """What a model will do on the chip, as far as the compiler's cycle model can tell.

    Args:
        model: its name.
        config: its architecture.
        options: what to look at.
        toolchain: where the vendor's compiler is; absent: in its default place.
        jobs: networks compiled at once, as memory allows; absent: one for each CPU.
        progress: told about each step.

    Raises:
        OptionError: an option does not fit the architecture.
        ToolchainError: there is no compiler.
        StepError: a network does not compile.
    """
    options.check(config)
    compiler = Toolchain.find(toolchain)
    costs = compile_costs(config, options, compiler, jobs, progress)
    return compose(model, config, options, costs, compiler.version)
