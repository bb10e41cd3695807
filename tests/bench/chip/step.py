"""What a decoded token asks of the vendor's runtime and costs the host, on the chip's own code path."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec
from wizardtpu_compile.options import TpuOptions
from wizardtpu_compile.targets.tpu.build import build_tpu_bundle
from wizardtpu_compile.toolchain.toolchain import Toolchain

from tests.bench.model import write_checkpoint
from tests.bench.plan import ModelSize
from tests.bench.progress import say
from tests.bench.series import Series
from tests.support.faulty_bmrt import make_faulty_library


@dataclass(frozen=True)
class ChipStep:
    """Of one greedy step.

    Attributes:
        layers: of the model.
        context: of the model, in tokens.
        calls: counted, of each function of the vendor's libraries that is called.
        copied: counted, bytes by each of those that copy.
        host_seconds: measured, without what launches take.
    """

    layers: int
    context: int
    calls: dict[str, float]
    copied: dict[str, float]
    host_seconds: Series


def measure_step(size: ModelSize, tokens: int, toolchain: Toolchain, scratch: Path) -> ChipStep:
    """Measures in a process of its own, for at the end the library's launches do nothing there."""
    say(f"building {size.layers} layers for the chip")
    checkpoint, bundle = scratch / "deep-checkpoint", scratch / "deep"
    write_checkpoint(checkpoint, size)
    options = TpuOptions(
        quantize="f16",
        context=size.positions,
        prefill_chunks=(8,),
        verify_tokens=0,
        slots=1,
        check_networks="none",
    )
    build_tpu_bundle(checkpoint, bundle, options, toolchain.directory)
    library = make_faulty_library(toolchain.simulator, scratch / "library")
    return _measure(size, tokens, bundle, library)


def _measure(size: ModelSize, tokens: int, bundle: Path, library: Path) -> ChipStep:
    result, fault = bundle.with_suffix(".json"), bundle.with_suffix(".fault")
    words = [str(bundle), str(library), str(tokens), str(result)]
    subprocess.run(
        [sys.executable, "-m", "tests.bench.chip.probe", *words],
        env={**os.environ, "SIMULATED_FAULT_FILE": str(fault)},
        stdout=subprocess.DEVNULL,  # the vendor's chatter
        check=True,
    )
    calls, copied, seconds = msgspec.json.decode(
        result.read_bytes(), type=tuple[dict[str, float], dict[str, float], list[float]]
    )
    return ChipStep(size.layers, size.positions, calls, copied, Series(seconds))
