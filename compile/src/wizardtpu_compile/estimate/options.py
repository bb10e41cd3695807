"""What a person may ask of an estimate."""

from __future__ import annotations

from dataclasses import dataclass

from wizardtpu_compile.checkpoint.config import ModelConfig
from wizardtpu_compile.errors import OptionError
from wizardtpu_compile.estimate.cost import NetShape, block_nets, head_nets
from wizardtpu_compile.options.tpu import TpuOptions, WeightPrecision

CONTEXTS = (512, 2048, 8192)


@dataclass(frozen=True, kw_only=True)
class EstimateOptions:
    """Options of an estimate: every combination of precision and context is looked at.

    Attributes:
        contexts: rows of the key and value cache; absent: those of `CONTEXTS` the model has positions for.
        precisions: of the weights of the blocks.
        prefill_chunks: how many tokens of a prompt one step may take; those that reach the context are left out.
        verify: how many tokens of one sequence a step checks: the last one, and drafted ones after it.
        slots: how many sequences are decoded together.
        group_size: how many quantized weights share one scale.
        num_device: chips that share the work of each network.
    """

    contexts: tuple[int, ...] | None = None
    precisions: tuple[WeightPrecision, ...] = ("int4", "int8", "f16")
    prefill_chunks: tuple[int, ...] = TpuOptions.prefill_chunks
    verify: tuple[int, ...] = (8, 16, 32)
    slots: tuple[int, ...] = (8, 16, 32)
    group_size: int = TpuOptions.group_size
    num_device: int = TpuOptions.num_device

    def build_options(self, precision: WeightPrecision) -> TpuOptions:
        """The options of a build with these weights."""
        return TpuOptions(quantize=precision, group_size=self.group_size, num_device=self.num_device)

    def checked_contexts(self, config: ModelConfig) -> list[int]:
        """Ascending.

        Raises:
            OptionError: there is none, or the model has no positions for one.
        """
        if self.contexts is None:
            fitting = [context for context in CONTEXTS if context <= config.n_positions]
            return fitting or [config.n_positions]
        if not self.contexts:
            raise OptionError("--context: at least one number is needed")
        for context in self.contexts:
            if not 2 <= context <= config.n_positions:
                raise OptionError(
                    f"--context {context}: must be from 2 to the model's {config.n_positions} positions"
                )
        return sorted(set(self.contexts))

    def check(self, config: ModelConfig) -> None:
        """Refuses what cannot be before anything is compiled.

        Raises:
            OptionError: names the option.
        """
        self.checked_contexts(config)
        for option, numbers, least in (
            ("--prefill-chunks", self.prefill_chunks, 1),
            ("--verify", self.verify, 2),
            ("--slots", self.slots, 1),
            ("--group-size", (self.group_size,), 1),
        ):
            if wrong := [number for number in numbers if number < least]:
                raise OptionError(f"{option} {wrong[0]}: must be at least {least}")
        if any(width % self.group_size for width in (config.n_embd, config.inner)):
            raise OptionError(f"--group-size {self.group_size}: must divide {config.n_embd} and {config.inner}")
        for precision in self.precisions:
            self.build_options(precision).check(config)

    def verified(self, context: int) -> list[int]:
        """Tokens of the steps that check drafted ones."""
        return sorted({tokens for tokens in self.verify if tokens < context})

    def token_counts(self, context: int) -> list[int]:
        """Tokens of every step of a single sequence: the engine reads prompts with any of them."""
        chunks = (chunk for chunk in self.prefill_chunks if chunk < context)
        return sorted({1, *chunks, *self.verified(context)})

    def batches(self) -> list[int]:
        """Numbers of sequences that are decoded together; one is always among them."""
        return sorted({1, *self.slots})

    def nets(self, context: int) -> list[NetShape]:
        """All networks for one context."""
        return self._nets(context, self.batches())

    def bundle(self, context: int, slots: int) -> list[NetShape]:
        """Those of a bundle that decodes so many sequences together."""
        return self._nets(context, sorted({1, slots}))

    def _nets(self, context: int, batches: list[int]) -> list[NetShape]:
        steps = [(1, tokens) for tokens in self.token_counts(context)]
        steps += [(batch, 1) for batch in batches if batch > 1]
        rows = sorted({*batches, *self.verified(context)})
        blocks = (block_nets(batch, tokens, context) for batch, tokens in steps)
        return [net for nets in (*blocks, *map(head_nets, rows)) for net in nets]
