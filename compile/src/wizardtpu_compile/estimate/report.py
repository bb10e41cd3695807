"""What an estimate says; these structures are the output of `--json`, and fields are only ever added."""

from __future__ import annotations

import msgspec

BASIS = (
    "Estimated by the compiler's cycle model, not measured: one layer times the number of layers, embedding and "
    "heads. Left out is the host's time, such as for launching networks."
)


class FirstToken(msgspec.Struct, frozen=True):
    """From a prompt of `prompt` tokens to the token after it, read in `steps`: tokens of each network run."""

    prompt: int
    steps: list[int]
    milliseconds: float


class Decoding(msgspec.Struct, frozen=True):
    """Adding a token to each of `slots` sequences in one step; tokens per second of all together, and of each."""

    slots: int
    milliseconds: float
    tokens_per_second: float
    tokens_per_second_each: float


class Verification(msgspec.Struct, frozen=True):
    """Checking drafted tokens of one sequence in one step of `tokens`: the last token and drafted ones after it.

    `tokens_per_second[n]` is the speed when n drafted tokens are accepted: n + 1 tokens come of such a step.
    The time that drafting takes is left out.
    """

    tokens: int
    milliseconds: float
    tokens_per_second: list[float]


class Memory(msgspec.Struct, frozen=True):
    """Bytes on each device for a bundle with all steps of one sequence, and those of `slots` together.

    Attributes:
        bundle: bytes of the bundle's networks on disk.
        weights: of all networks; shapes of the same network share them.
        instructions: of all shapes of all networks.
        scratch: the largest memory for values within a network: networks run one after the other and share it.
        cache: keys and values of all slots.
        total: of what is on the device.
    """

    slots: int
    bundle: int
    weights: int
    instructions: int
    scratch: int
    cache: int
    total: int


class NetReport(msgspec.Struct, frozen=True):
    """A network as compiled; of a block, for one layer. Memory in bytes."""

    name: str
    cycles: int
    weights: int
    instructions: int
    scratch: int


class ContextReport(msgspec.Struct, frozen=True):
    """For caches of `context` rows; `hints` are sentences for a person."""

    context: int
    first_token: list[FirstToken]
    decoding: list[Decoding]
    verification: list[Verification]
    memory: list[Memory]
    networks: list[NetReport]
    hints: list[str]


class PrecisionReport(msgspec.Struct, frozen=True):
    """For blocks of one precision; `group_size` is absent where weights are not quantized."""

    blocks: str
    lm_head: str
    group_size: int | None
    contexts: list[ContextReport]


class Report(msgspec.Struct, frozen=True):
    """All of it. `positions` and the numbers before it are the architecture's; `memory_budget` is in bytes."""

    model: str
    layers: int
    hidden: int
    heads: int
    vocabulary: int
    positions: int
    devices: int
    toolchain: str
    basis: str
    memory_budget: int
    precisions: list[PrecisionReport]
