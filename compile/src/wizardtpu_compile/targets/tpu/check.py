"""Compares a network with the checkpoint on the simulator while it is built."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from wizardtpu_compile.checkpoint.config import ModelConfig
from wizardtpu_compile.errors import VerificationError
from wizardtpu_compile.options.tpu import Checks
from wizardtpu_compile.simulation.simulator import Simulator
from wizardtpu_compile.targets.tpu.plan import TpuNetwork
from wizardtpu_compile.verification.comparison import LOWEST_COMPILER_SIMILARITY, Comparison, Expectation
from wizardtpu_compile.verification.inputs import Shape, made_up

CHECK_VERSION = "1"
"""Changes when networks that passed must be compared again."""

_QUICK_SECONDS = 10.0
_LOADED_A_SECOND = 20_000_000  # weights that the simulator loads, and
_MULTIPLIED_A_SECOND = 5_000_000  # multiplies for one token; measured
_MB = 1_000_000


@dataclass(frozen=True)
class Checker:
    """Runs networks on the simulator with random inputs.

    Attributes:
        config: the model's numbers.
        simulator: what runs them.
        checks: which networks to compare.
    """

    config: ModelConfig
    simulator: Simulator
    checks: Checks

    def wants(self, shape: TpuNetwork) -> bool:
        """Whether a network is to be compared."""
        return self.checks == "all" or (self.checks == "auto" and self.seconds(shape) <= _QUICK_SECONDS)

    def seconds(self, shape: TpuNetwork) -> float:
        """About how long that takes."""
        parameters = shape.description.parameters
        rows = 0 if shape.description.role == "embedding" else shape.entry.batch * (shape.entry.tokens or 1)
        return 0.5 + parameters / _LOADED_A_SECOND + parameters * rows / _MULTIPLIED_A_SECOND

    def memory(self, shape: TpuNetwork) -> int:
        """About how much memory it takes, in bytes: the bmodel in the simulator, a weight in float32, twice."""
        largest = max((w.size for op in shape.description.operations for w in op.weights()), default=0)
        return 300 * _MB + shape.stored_bytes + 12 * largest

    def check(self, shape: TpuNetwork, model: Path, cancelled: threading.Event) -> Comparison:
        """Compares the network in a bmodel.

        Raises:
            VerificationError: it is not what it was compiled from, or the runtime failed.
            Cancelled: `cancelled` was set.
        """
        entry, history = shape.entry, shape.entry.history or 1
        probe = Shape(entry.batch, entry.tokens or 1, history, visible=history // 2)
        inputs = made_up(shape.description, probe, self.config)
        expected = Expectation.of(entry.name, shape.description, inputs, shape.form)
        (found,) = self.simulator.run_networks(model, [(entry.name, expected.inputs)], cancelled)
        comparison = expected.compare(found)
        if not comparison.sound:
            raise VerificationError(
                f"{entry.name}: on the simulator the cosine between it and a reference with the same weights is "
                f"{comparison.compiler:.5f}, less than {LOWEST_COMPILER_SIMILARITY}: the compiler "
                "has made something else of it"
            )
        return comparison
