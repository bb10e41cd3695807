"""What one network costs on the chip."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wizardtpud.model.manifest import block_name, embedding_name, head_name

from wizardtpu_compile.network.description import Role

CYCLES_PER_MILLISECOND = 1_000_000
"""The chip's clock is 1 GHz, and the compiler counts in its cycles."""


@dataclass(frozen=True, order=True)
class NetShape:
    """A network of one role, with numbers for its symbolic dimensions; heads have neither tokens nor history."""

    role: Role
    batch: int
    tokens: int = 1
    history: int = 0

    @property
    def name(self) -> str:
        """As it would be called in a bundle; a block stands for all layers."""
        if self.role == "block":
            return block_name(0, self.batch, self.tokens, self.history)
        if self.role == "embedding":
            return embedding_name(self.batch, self.tokens)
        return head_name(self.role, self.batch)

    @property
    def sizes(self) -> dict[str, int]:
        """The symbolic dimensions of a network description."""
        total = self.history + self.tokens
        return {"batch": self.batch, "tokens": self.tokens, "history": self.history, "total": total}


@dataclass(frozen=True)
class NetCost:
    """Of one network, as compiled; memory in bytes.

    Attributes:
        cycles: to run it once.
        weights: shared by all shapes of the same network.
        instructions: of this shape alone.
        scratch: memory for values within the network.
    """

    cycles: int
    weights: int
    instructions: int
    scratch: int


Costs = Mapping[NetShape, NetCost]


@dataclass(frozen=True)
class StepCosts:
    """Costs of parts of a model's steps: one layer's times the number of layers, embedding and heads."""

    layers: int
    costs: Costs

    def count(self, net: NetShape) -> int:
        """How many networks of this shape the model has: a block stands for one layer."""
        return self.layers if net.role == "block" else 1

    def cycles(self, nets: Iterable[NetShape]) -> int:
        """Of running the networks, blocks once for each layer."""
        return sum(self.count(net) * self.costs[net].cycles for net in nets)

    def milliseconds(self, nets: Iterable[NetShape]) -> float:
        """Of the same."""
        return self.cycles(nets) / CYCLES_PER_MILLISECOND


def block_nets(batch: int, tokens: int, history: int) -> tuple[NetShape, ...]:
    """From token ids to hidden states of `tokens` new tokens of each of `batch` sequences."""
    return NetShape("embedding", batch, tokens), NetShape("block", batch, tokens, history)


def head_nets(rows: int) -> tuple[NetShape, ...]:
    """From hidden states of `rows` tokens to the most likely token after each."""
    return NetShape("lm_head", rows), NetShape("greedy_head", rows)
