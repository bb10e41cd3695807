"""Counts what the engine's steps call of the vendor's libraries, and times them.

python -m tests.bench.chip.probe BUNDLE LIBRARY TOKENS RESULT
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from time import perf_counter

import msgspec
from wizardtpud.device.bmrt import BmrtLibrary, BmrtRuntime
from wizardtpud.device.runtime import Runtime
from wizardtpud.engine import Sampling, make_engine
from wizardtpud.model.bundle import Bundle
from wizardtpud.model.manifest import Manifest

from tests.bench.chip.library_calls import LibraryCalls

PROMPT = [5]
COUNTED = 10
"""Tokens for which calls are counted: their launches are run, which is slow."""


class Probe:
    """One sequence after its first token."""

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
    model, counts = bundle.path("model.bmodel"), LibraryCalls()
    with BmrtRuntime(model, counts.counting(library)) as runtime:
        probe = Probe(bundle.manifest, runtime, COUNTED)
        counts.forget()
        steps = len(probe.steps())
        calls, copied = (
            {name: count / steps for name, count in each.items()} for each in (counts.calls, counts.copied)
        )
    with BmrtRuntime(model, library) as runtime:
        probe = Probe(bundle.manifest, runtime, tokens)
        # From here launches do nothing, so that the first token is repeated.
        Path(os.environ["SIMULATED_FAULT_FILE"]).write_text("skip")
        seconds = probe.steps()
    result.write_bytes(msgspec.json.encode((calls, copied, seconds)))


if __name__ == "__main__":
    main()
