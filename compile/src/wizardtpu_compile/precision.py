"""How the BM1684X stores the weights of a network, and which of these forms it can."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Any, Literal

import ml_dtypes
import numpy as np

from wizardtpu_compile.checkpoint.config import ModelConfig
from wizardtpu_compile.errors import OptionError

Float = Literal["f16", "bf16"]

_BITS: dict[str, Literal[8, 4]] = {"int8": 8, "int4": 4}
DTYPES: dict[Float, np.dtype[Any]] = {"f16": np.dtype(np.float16), "bf16": np.dtype(ml_dtypes.bfloat16)}


@dataclass(frozen=True)
class WeightFormat:
    """How the weights of Linears are stored, and the type of everything else.

    Attributes:
        bits: of a weight of a Linear; 16 is `float`.
        group_size: how many weights of an output share a scale and a zero point; None at 16 bits.
        float: type of activations, inputs, outputs, biases, tables and scales.
    """

    bits: Literal[16, 8, 4]
    group_size: int | None
    float: Float

    @classmethod
    def of(cls, precision: str, group_size: int | None, activations: Float) -> WeightFormat:
        """The form that a precision's name stands for: int4, int8, or anything else for 16 bits."""
        if precision not in _BITS:
            return cls(16, None, activations)
        return cls(_BITS[precision], group_size, activations)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type `float` in numpy."""
        return DTYPES[self.float]


def check(form: WeightFormat, config: ModelConfig, embedding: Float | None = None, devices: int = 1) -> None:
    """Refuses what the chip or its compiler cannot do with a model.

    Args:
        form: of the blocks or of the head.
        config: the model.
        embedding: type of the embedding tables, where it was asked for apart.
        devices: how many chips share the work.

    Raises:
        OptionError: names the option and a way out.
    """
    if embedding not in {None, form.float}:
        # The next network would take the bits of one type for those of the other, without an error.
        raise OptionError(
            f"--embedding {embedding}: the blocks read {form.float}, and would take the one for the other; "
            f"leave it out, or give --activations {embedding}"
        )
    if form.bits == 16 and devices > 1:
        raise OptionError(
            f"--num-device {devices}: the vendor's compiler fails to share out 16-bit weights; "
            "give --quantize int8 or int4"
        )
    if form.group_size is not None:
        _check_groups(form.bits, form.group_size, config)


def _check_groups(bits: int, size: int, config: ModelConfig) -> None:
    """Groups must be whole: the vendor's compiler would leave a matrix of others at 16 bits without a word."""
    widths = {"n_embd": config.n_embd, "n_inner": config.inner}
    common = gcd(*widths.values())
    if bits == 4 and common % 2:
        odd = next(name for name, width in widths.items() if width % 2)
        raise OptionError(f"--quantize int4: two weights share a byte, but {odd} is {widths[odd]}; give int8")
    if size < 1 or common % size:
        fitting = max(divisor for divisor in range(1, max(size, 1) + 1) if common % divisor == 0)
        numbers = " and ".join(f"{name} {width}" for name, width in widths.items())
        raise OptionError(
            f"--group-size {size}: must divide the model's {numbers}; the next smaller one is {fitting}"
        )
