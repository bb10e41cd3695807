"""Proves a toolchain: compiles a small network and runs it on the simulator."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wizardtpu_compile.errors import ToolchainError
from wizardtpu_compile.simulation.simulator import Simulator
from wizardtpu_compile.stage_progress import StageProgress
from wizardtpu_compile.toolchain import host
from wizardtpu_compile.toolchain.compiler import compile_network
from wizardtpu_compile.toolchain.sample import NAME, Float, Sample
from wizardtpu_compile.toolchain.toolchain import Toolchain
from wizardtpu_compile.verification.similarity import cosine

_LEAST: Mapping[Float, float] = {
    "f16": 0.9999,
    "bf16": 0.999,
}  # cosine; the sample itself reaches 0.999999 and 0.99996


@dataclass(frozen=True)
class Proof:
    """What was found: for each type of floats the cosine between the simulator's output and numpy's."""

    similarity: Mapping[Float, float]


def check(toolchain: Toolchain, progress: StageProgress) -> Proof:
    """Compiles and simulates. The kernels this needs are kept, so that later compiles find them.

    Raises:
        ToolchainError: the host lacks something, or a compile failed, or an output is wrong.
        VerificationError: the simulator did not run.
    """
    progress.start("looking at this machine", None)
    if lacks := host.missing():
        raise ToolchainError(host.describe(lacks))
    return Proof({form: _prove(toolchain, form, progress) for form in _LEAST})


def _prove(toolchain: Toolchain, form: Float, progress: StageProgress) -> float:
    sample = Sample(form)
    with tempfile.TemporaryDirectory(prefix="wizardtpu-check-") as name:
        directory = Path(name)
        bmodel = directory / f"{NAME}.bmodel"
        progress.start(f"compiling a small network in {form}", None)
        compile_network(toolchain, sample.write(directory), bmodel, directory / "log.txt")
        progress.start(f"running it on the simulator in {form}", None)
        (outputs,) = Simulator(toolchain.simulator).run_networks(bmodel, [(NAME, sample.inputs)])
    (output,) = outputs.values()
    found = cosine(output, sample.expected())
    if not found >= _LEAST[form]:
        raise ToolchainError(
            f"the toolchain computes wrong results in {form}: cosine {found:.6f} to what is right"
        )
    return found
