"""Options that every target has."""

from __future__ import annotations

from dataclasses import dataclass

from wizardtpu_compile.checkpoint.config import ModelConfig
from wizardtpu_compile.errors import OptionError


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """Options of a build; absent ones follow from the checkpoint.

    Attributes:
        context: tokens of prompt and answer together: rows of the key and value cache.
        prefill_chunks: how many tokens of a prompt one step may take; those that reach the context are left out.
        group_size: how many quantized weights share one scale.
        layers_per_net: how many layers one network computes: fewer launches a token, larger networks.
        name: the model's name.
        chat_template: Jinja source that turns messages into a prompt.
        force: replace a bundle that is there already.
    """

    context: int | None = None
    prefill_chunks: tuple[int, ...]
    group_size: int = 64
    layers_per_net: int = 1
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

    def layer_groups(self, config: ModelConfig) -> list[tuple[int, int]]:
        """First layer and number of layers of each network of blocks; the last one may have fewer.

        Raises:
            OptionError: there are not that many layers.
        """
        if not 1 <= self.layers_per_net <= config.n_layer:
            raise OptionError(f"--layers-per-net {self.layers_per_net}: must be from 1 to {config.n_layer}")
        count = self.layers_per_net
        return [(first, min(count, config.n_layer - first)) for first in range(0, config.n_layer, count)]
