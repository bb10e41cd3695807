"""Times the engine's steps over the vendor's runtime, and counts what they ask for.

python -m tests.bench.chip.probe BUNDLE LIBRARY TOKENS RESULT
"""

from __future__ import annotations

import os
import sys
from copy import copy
from pathlib import Path
from time import perf_counter

import msgspec
from wizardtpud.device.bmrt import BmrtLibrary, BmrtRuntime
from wizardtpud.device.runtime import Runtime
from wizardtpud.engine import Sampling, make_engine
from wizardtpud.model.bundle import Bundle
from wizardtpud.model.manifest import Manifest

from tests.bench.counting_runtime import CountingRuntime
from tests.bench.decode_traffic import per_token

PROMPT = [5]


class Probe:
    """One sequence after its first token, which it goes on to repeat when launches do nothing any more."""

    def __init__(self, manifest: Manifest, runtime: Runtime, tokens: int) -> None:
        self._engine = make_engine(manifest, runtime)
        self._sequence = self._engine.admit(PROMPT, Sampling(), tokens)
        self._engine.step()

    def steps(self) -> list[float]:
        """Goes on to the end; seconds of each step."""
        seconds = []
        while self._sequence.finish is None:
            start = perf_counter()
            self._engine.step()
            seconds.append(perf_counter() - start)
        return seconds


def main() -> None:
    bundle, library = Bundle.open(Path(sys.argv[1])), BmrtLibrary.load(Path(sys.argv[2]))
    tokens, result = int(sys.argv[3]), Path(sys.argv[4])
    with BmrtRuntime(bundle.path("model.bmodel"), library) as runtime:
        counting = CountingRuntime(runtime)
        timed, counted = (Probe(bundle.manifest, each, tokens) for each in (runtime, counting))
        Path(os.environ["SIMULATED_FAULT_FILE"]).write_text("skip")
        seconds, before = timed.steps(), copy(counting.traffic)
        steps = len(counted.steps())
    traffic = per_token("deep", "greedy", counting.traffic - before, steps)
    result.write_bytes(msgspec.json.encode((traffic, seconds)))


if __name__ == "__main__":
    main()
