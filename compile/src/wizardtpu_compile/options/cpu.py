"""Options of a build for the CPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wizardtpu_compile.errors import OptionError
from wizardtpu_compile.network.description import Role
from wizardtpu_compile.options.common import BuildOptions
from wizardtpu_compile.quantize import BlockQuantization

Precision = Literal["f32", "int8", "int4"]

GROUP_SIZES = (16, 32, 64, 128, 256)
"""What onnxruntime's kernels have been written for."""


@dataclass(frozen=True, kw_only=True)
class CpuOptions(BuildOptions):
    """Options of a build for the CPU.

    Attributes:
        quantize: precision of the weights of the blocks.
        prefill_chunks: many by default: on a CPU a padded token costs as much as a real one.
    """

    quantize: Precision = "f32"
    prefill_chunks: tuple[int, ...] = (8, 16, 32, 64, 128, 256)

    def precision(self, role: Role) -> Precision:
        """Precision of a network's weights: 4 bits would cost the head more than they save."""
        if role == "block":
            return self.quantize
        return "int8" if role == "lm_head" and self.quantize != "f32" else "f32"

    def quantization(self, role: Role) -> BlockQuantization | None:
        """How the weights of a network are rounded, if they are.

        Raises:
            OptionError: there are no kernels for the group size.
        """
        if self.group_size not in GROUP_SIZES:
            raise OptionError(f"--group-size {self.group_size}: must be one of {', '.join(map(str, GROUP_SIZES))}")
        precision = self.precision(role)
        return None if precision == "f32" else BlockQuantization(8 if precision == "int8" else 4, self.group_size)
