"""Options of a build for the BM1684X."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wizardtpu_compile.checkpoint.config import ModelConfig
from wizardtpu_compile.errors import OptionError
from wizardtpu_compile.network.description import Role
from wizardtpu_compile.options.common import BuildOptions
from wizardtpu_compile.precision import Float, WeightFormat
from wizardtpu_compile.precision import check as check_form

WeightPrecision = Literal["f16", "bf16", "int8", "int4"]
Frontend = Literal["direct", "onnx"]
NetLayout = Literal["wizardtpu", "wizardcoder-tpu"]
Checks = Literal["auto", "none", "all"]

DEVICE_COUNTS = (1, 2, 4, 8)
_QUANTIZED = ("int8", "int4")
_WITH_LINEARS: tuple[Role, ...] = ("block", "lm_head")


@dataclass(frozen=True, kw_only=True)
class TpuOptions(BuildOptions):
    """Options of a build for the BM1684X.

    Attributes:
        quantize: precision of the weights of the blocks.
        activations: type of hidden states, keys, values and logits; absent: bf16 if `quantize` is, else f16.
        lm_head: precision of the output projection; absent: int8 if the blocks are quantized, else as theirs.
        embedding: type of the embedding tables; absent: that of the activations, and nothing else works.
        prefill_chunks: few by default: a padded token is nearly free on the chip.
        verify_tokens: drafted tokens that one step can verify; 0 for none.
        slots: sequences that one step can decode together; 1 for no such networks.
        num_device: chips that share the work of each network.
        only_layer: build the networks of this layer alone, for debugging: bmodels instead of a bundle.
        frontend: "onnx" goes through the vendor's model_transform and model_deploy.
        layout: "wizardcoder-tpu" makes the networks of the original demonstration.
        jobs: steps at once; absent: one for each CPU that memory allows.
        check_networks: which networks are run on the simulator: those of small models ("auto"), "all" or "none".
    """

    quantize: WeightPrecision = "int4"
    activations: Float | None = None
    lm_head: WeightPrecision | None = None
    embedding: Float | None = None
    prefill_chunks: tuple[int, ...] = (64, 512)
    verify_tokens: int = 8
    slots: int = 8
    num_device: int = 1
    only_layer: int | None = None
    frontend: Frontend = "direct"
    layout: NetLayout = "wizardtpu"
    jobs: int | None = None
    check_networks: Checks = "auto"

    @property
    def float(self) -> Float:
        """Type of the activations."""
        return self.activations or ("bf16" if self.quantize == "bf16" else "f16")

    @property
    def makes_bundle(self) -> bool:
        """Whether the result is a bundle; else it is a bmodel alone."""
        return self.only_layer is None and self.layout == "wizardtpu"

    def precision(self, role: Role) -> WeightPrecision:
        """Precision of a network's weights: 4 bits would cost the head more than they save."""
        if role == "block":
            return self.quantize
        if role != "lm_head":
            return self.float
        return self.lm_head or ("int8" if self.quantize in _QUANTIZED else self.quantize)

    def weight_format(self, role: Role) -> WeightFormat:
        """How the weights of a network are stored."""
        return WeightFormat.of(self.precision(role), self.group_size, self.float)

    def token_counts(self, context: int) -> list[int]:
        """How many new tokens of one sequence the networks take.

        Raises:
            OptionError: a number is not positive.
        """
        if self.verify_tokens < 0 or self.verify_tokens == 1:
            raise OptionError(f"--verify {self.verify_tokens}: must be 0 (none) or at least 2 tokens")
        counts = super().token_counts(context)
        return sorted({*counts, self.verify_tokens} - {0}) if self.verify_tokens < context else counts

    def shapes(self, context: int) -> list[tuple[int, int]]:
        """Sequences and new tokens of each of them, for every set of networks.

        Raises:
            OptionError: a number is not positive.
        """
        if self.slots < 1:
            raise OptionError(f"--slots {self.slots}: must be at least 1")
        batches = [] if self.slots == 1 else [(self.slots, 1)]
        return [*((1, tokens) for tokens in self.token_counts(context)), *batches]

    def head_batches(self, context: int) -> list[int]:
        """Rows of hidden states that an lm_head takes: one, those of all slots, those of all drafted tokens."""
        verified = self.verify_tokens if self.verify_tokens < context else 0
        return sorted({1, self.slots, verified} - {0})

    def check(self, config: ModelConfig) -> None:
        """Refuses what cannot work together before anything is compiled.

        Raises:
            OptionError: names the options.
        """
        for option, chosen in (("--quantize", self.quantize), ("--lm-head", self.precision("lm_head"))):
            if chosen in ("f16", "bf16") and chosen != self.float:
                raise OptionError(
                    f"{option} {chosen} does not go with {self.float} activations: the chip would read garbage; "
                    f"leave it out, or give --activations {chosen}"
                )
        if self.num_device not in DEVICE_COUNTS:
            raise OptionError(
                f"--num-device {self.num_device}: must be one of {', '.join(map(str, DEVICE_COUNTS))}"
            )
        if config.n_head % self.num_device:
            raise OptionError(
                f"--num-device {self.num_device}: the model's {config.n_head} heads cannot be shared out evenly"
            )
        for role in _WITH_LINEARS:
            check_form(self.weight_format(role), config, self.embedding, self.num_device)
        if self.only_layer is not None and self.layout != "wizardtpu":
            raise OptionError("--only-layer is for --layout wizardtpu alone")
        if self.only_layer is not None and not 0 <= self.only_layer < config.n_layer:
            raise OptionError(f"--only-layer {self.only_layer}: must be from 0 to {config.n_layer - 1}")
        if self.layout == "wizardcoder-tpu" and self.frontend != "onnx":
            raise OptionError("--layout wizardcoder-tpu is made by --frontend onnx alone")
        if self.jobs is not None and self.jobs < 1:
            raise OptionError(f"--jobs {self.jobs}: must be at least 1")
