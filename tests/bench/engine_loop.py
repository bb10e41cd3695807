"""The engine by itself: no daemon, no wire, no text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from wizardtpud.engine import Engine, Sampling, make_engine
from wizardtpud.model.bundle import Bundle
from wizardtpud.model.loading import load

from tests.bench.contender import Answer, Contender
from tests.bench.lap import Lap

GREEDY = Sampling()


class EngineLoop(Contender):
    """Runs sequences in this process and hands their tokens to nobody."""

    def __init__(self, name: str, engine: Engine, sampling: Sampling = GREEDY) -> None:
        self.name = name
        self._engine = engine
        self._sampling = sampling

    @classmethod
    @contextmanager
    def open(cls, name: str, directory: Path, slots: int = 1) -> Iterator[EngineLoop]:
        """Loads a bundle on the CPU."""
        bundle = Bundle.open(directory)
        with load(bundle, "cpu", threads=1) as runtime:
            yield cls(name, make_engine(bundle.manifest, runtime, slots))

    def generate(self, prompt: Sequence[int], max_new_tokens: int) -> Answer:
        start = perf_counter()
        sequence = self._engine.admit(prompt, self._sampling, max_new_tokens)
        while sequence.finish is None:
            self._engine.step()
        self._engine.release(sequence)
        return Answer(sequence.generated, perf_counter() - start)

    def together(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> Lap:
        """Generates after all the prompts at once, each in a slot of its own."""
        start = perf_counter()
        sequences = [self._engine.admit(prompt, self._sampling, max_new_tokens) for prompt in prompts]
        while any(sequence.prefilling for sequence in sequences):
            self._engine.step()
        all_read = perf_counter()
        while any(sequence.finish is None for sequence in sequences):
            self._engine.step()
        end = perf_counter()
        for sequence in sequences:
            self._engine.release(sequence)
        tokens = sum(len(sequence.generated) for sequence in sequences)
        return Lap(tokens, tokens - len(sequences), end - start, end - all_read)
