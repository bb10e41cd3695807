"""A network's outputs beside those of the references."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wizardtpu_compile.emit.tpu import rounded
from wizardtpu_compile.network.description import Network
from wizardtpu_compile.network.reference import Arrays, evaluate
from wizardtpu_compile.precision import WeightFormat
from wizardtpu_compile.verification.similarity import similarity

LOWEST_COMPILER_SIMILARITY = 0.999
"""Cosine to the reference with the same rounded weights; what remains is the rounding of activations."""


@dataclass(frozen=True)
class Comparison:
    """How a network compares; each number is the lowest cosine of its outputs.

    Attributes:
        network: its name.
        compiler: with a reference that has the same rounded weights: what compiler and chip change.
        quantization: of that reference with the float reference: what rounding the weights changes.
        together: with the float reference.
    """

    network: str
    compiler: float
    quantization: float
    together: float

    @property
    def sound(self) -> bool:
        """Whether the network computes what it was compiled from. NaN is not sound."""
        return self.compiler >= LOWEST_COMPILER_SIMILARITY


@dataclass(frozen=True)
class Expectation:
    """Inputs of a network and what the references make of them."""

    network: str
    inputs: Arrays
    exact: Arrays
    quantized: Arrays

    @classmethod
    def of(cls, name: str, description: Network, inputs: Arrays, form: WeightFormat) -> Expectation:
        """Asks both references; floats are rounded first to the type they have on the chip."""
        stored = {
            key: array.astype(form.dtype).astype(np.float32) if array.dtype.kind == "f" else array
            for key, array in inputs.items()
        }
        (exact,), (quantized,) = evaluate(description, [stored]), evaluate(description, [stored], rounded(form))
        return cls(name, stored, exact, quantized)

    def compare(self, found: Arrays) -> Comparison:
        """With what the network itself made of the inputs."""
        return Comparison(
            self.network,
            compiler=similarity(self.inputs, found, self.quantized),
            quantization=similarity(self.inputs, self.quantized, self.exact),
            together=similarity(self.inputs, found, self.exact),
        )
