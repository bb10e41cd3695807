"""`python -m wizardtpu_compile.simulation JOB`: the process that the vendor's runtime lives in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from wizardtpud.device.bmrt.library import BmrtLibrary
from wizardtpud.device.bmrt.runtime import BmrtRuntime
from wizardtpud.device.runtime import Runtime
from wizardtpud.engine import Engine, Sampling, make_engine
from wizardtpud.errors import WizardtpudError
from wizardtpud.model.bundle import Bundle
from wizardtpud.model.loading import load

from wizardtpu_compile.simulation.job import GreedyJob, Job, NetworkJob


def main() -> None:
    job = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Job)
    try:
        if isinstance(job, NetworkJob):
            _run_networks(job)
        else:
            _generate(job)
    except WizardtpudError as error:
        sys.exit(str(error))


def _run_networks(job: NetworkJob) -> None:
    with BmrtRuntime(Path(job.model), BmrtLibrary.load(Path(job.library))) as runtime:
        for network, inputs, outputs in job.runs:
            _run(runtime, network, Path(inputs), Path(outputs))


def _run(runtime: Runtime, name: str, source: Path, target: Path) -> None:
    if name not in runtime.networks:
        sys.exit(f"the bmodel has no network {name}; it has {', '.join(runtime.networks)}")
    network = runtime.networks[name]
    inputs = [runtime.allocate(spec.shape, spec.dtype) for spec in network.inputs]
    outputs = [runtime.allocate(spec.shape, spec.dtype) for spec in network.outputs]
    with np.load(source) as arrays:
        for spec, buffer in zip(network.inputs, inputs, strict=True):
            buffer.write(arrays[spec.name].astype(spec.dtype))
    runtime.bind(name, inputs, outputs).run()
    found: dict[str, Any] = {
        spec.name: _plain(buffer.read()) for spec, buffer in zip(network.outputs, outputs, strict=True)
    }
    np.savez(target, **found)


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    """As something that npz files can hold: bfloat16 is not."""
    return array if array.dtype.kind == "i" else array.astype(np.float32)


def _generate(job: GreedyJob) -> None:
    bundle = Bundle.open(Path(job.bundle))
    library = None if job.library is None else Path(job.library)
    with load(bundle, job.device, library=library) as runtime:
        engine = make_engine(bundle.manifest, runtime)
        answers = [_continue(engine, prompt, job.tokens) for prompt in job.prompts]
    Path(job.answers).write_bytes(msgspec.json.encode(answers))


def _continue(engine: Engine, prompt: list[int], tokens: int) -> list[int]:
    sequence = engine.admit(prompt, Sampling(), tokens)
    try:
        while sequence.finish is None:
            engine.step()
    finally:
        engine.release(sequence)
    return sequence.generated


if __name__ == "__main__":
    main()
