"""Which networks a bundle for the BM1684X has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from wizardtpud.model.manifest import NetworkEntry, block_name, embedding_name, head_name

from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.network import gpt_bigcode
from wizardtpu_compile.network.description import Network
from wizardtpu_compile.options import TpuOptions
from wizardtpu_compile.precision import WeightFormat

MODEL_NAME = "model.bmodel"


@dataclass(frozen=True)
class TpuNetwork:
    """One shape of a network: what the compiler makes one bmodel of.

    Attributes:
        description: the network with its symbolic dimensions, and the weights that all its shapes share.
        entry: its line in the manifest.
        form: how its weights are stored.
    """

    description: Network
    entry: NetworkEntry
    form: WeightFormat

    @property
    def sizes(self) -> dict[str, int]:
        """Sizes of the symbolic dimensions."""
        tokens, history = self.entry.tokens or 1, self.entry.history or 0
        return {"batch": self.entry.batch, "tokens": tokens, "history": history, "total": history + tokens}

    @property
    def stored_bytes(self) -> int:
        """About how many bytes the weights take."""
        return self.description.parameters * self.form.bits // 8


def plan(checkpoint: Checkpoint, options: TpuOptions, context: int) -> list[TpuNetwork]:
    """All networks, those that share weights one after the other, in the order a token passes them.

    Raises:
        OptionError: a number makes no sense.
    """
    shapes, heads = options.shapes(context), options.head_batches(context)
    planned: list[TpuNetwork] = []

    def add(description: Network, entries: Iterator[NetworkEntry]) -> None:
        form = options.weight_format(description.role)
        planned.extend(TpuNetwork(description, entry, form) for entry in entries)

    groups = options.layer_groups(checkpoint.config)
    if options.only_layer is not None:
        groups = [(options.only_layer, 1)]
    else:
        add(gpt_bigcode.embedding(checkpoint), _embeddings(shapes))
    for first, layers in groups:
        add(gpt_bigcode.block(checkpoint, first, layers), _blocks(shapes, context, first, layers))
    if options.only_layer is None:
        for head in (gpt_bigcode.lm_head(checkpoint), gpt_bigcode.greedy_head(checkpoint)):
            add(head, _heads(head, heads))
    return planned


def _embeddings(shapes: list[tuple[int, int]]) -> Iterator[NetworkEntry]:
    for batch, tokens in shapes:
        name = embedding_name(batch, tokens)
        yield NetworkEntry(name=name, role="embedding", file=MODEL_NAME, batch=batch, tokens=tokens)


def _blocks(shapes: list[tuple[int, int]], context: int, first: int, layers: int) -> Iterator[NetworkEntry]:
    for batch, tokens in shapes:
        yield NetworkEntry(
            name=block_name(first, batch, tokens, context),
            role="block",
            file=MODEL_NAME,
            batch=batch,
            tokens=tokens,
            history=context,
            first_layer=first,
            layers=layers,
        )


def _heads(head: Network, batches: list[int]) -> Iterator[NetworkEntry]:
    for batch in batches:
        name = head_name("lm_head" if head.role == "lm_head" else "greedy_head", batch)
        yield NetworkEntry(name=name, role=head.role, file=MODEL_NAME, batch=batch)
