"""What a person may ask of a build."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wizardtpu_compile.checkpoint.config import ModelConfig
from wizardtpu_compile.errors import OptionError
from wizardtpu_compile.network.description import Role
from wizardtpu_compile.quantize import BlockQuantization

Precision = Literal["f32", "int8", "int4"]

GROUP_SIZES = (16, 32, 64, 128, 256)
"""What onnxruntime's kernels have been written for."""


@dataclass(frozen=True)
class BuildOptions:
    """Options of a build; absent ones follow from the checkpoint.

    Attributes:
        quantize: precision of the weights of the blocks.
        group_size: how many weights share one scale; one of `GROUP_SIZES`.
        context: tokens of prompt and answer together: rows of the key and value cache.
        prefill_chunks: how many tokens of a prompt one step may take; those that exceed the context are left out.
            Many by default: on a CPU a padded token costs as much as a real one.
        name: the model's name.
        chat_template: Jinja source that turns messages into a prompt.
        force: replace a bundle that is there already.
    """

    quantize: Precision = "f32"
    group_size: int = 64
    context: int | None = None
    prefill_chunks: tuple[int, ...] = (8, 16, 32, 64, 128, 256)
    name: str | None = None
    chat_template: str | None = None
    force: bool = False

    def checked_context(self, config: ModelConfig) -> int:
        """The context to build for.

        Raises:
            OptionError: the model has no positions for it, or it leaves no room for an answer.
        """
        context = config.n_positions if self.context is None else self.context
        if not 2 <= context <= config.n_positions:
            raise OptionError(
                f"--context {context}: must be from 2 to {config.n_positions}, the n_positions of config.json"
            )
        return context

    def token_counts(self, context: int) -> list[int]:
        """How many new tokens the networks take: 1 to decode, and the prefill chunks smaller than the context.

        Raises:
            OptionError: a chunk is not a positive number.
        """
        if wrong := [chunk for chunk in self.prefill_chunks if chunk < 1]:
            raise OptionError(f"--prefill-chunks {wrong[0]}: must be at least 1")
        return sorted({1, *(chunk for chunk in self.prefill_chunks if chunk < context)})

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
