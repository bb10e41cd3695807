"""The networks of the published WizardCoder bmodels, found by name and shape.

| network | inputs | outputs |
|---|---|---|
| `embedding`, two stages: T is 1 or S | ids i32 [1,T], positions i32 [1,T] | hidden [1,T,H] |
| `block_{i}` | hidden [1,S,H], mask [1,1,S,S] | hidden [1,S,H], rows [1,S,2D] |
| `block_cache_{i}` | hidden [1,1,H], rows [1,S,2D], mask [1,1,1,S+1] | hidden [1,1,H], rows [1,S+1,2D] |
| `lm_head` | hidden [1,H] | token i32 [1,1] |

Everything else is float32. A row has a token's key, then its value. The compiler chose the names of tensors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wizardtpud.device.runtime import Network, Stage
from wizardtpud.errors import BundleError
from wizardtpud.model.manifest import Architecture
from wizardtpud.model.signature import FLOAT, INT, Plain, check, find, plain

_NAME = "wizardcoder-tpu"


@dataclass(frozen=True)
class WizardcoderLayout:
    """The numbers of the model, and which stage of the embedding is for what.

    Attributes:
        context: S, rows that a layer looks back on.
        row: 2D, elements of a row.
        embed_prompt: the stage for S tokens.
        embed_token: the stage for one token.
    """

    layers: int
    hidden: int
    context: int
    row: int
    embed_prompt: int
    embed_token: int


def resolve_wizardcoder(
    architecture: Architecture, context: int, networks: Mapping[str, Network]
) -> WizardcoderLayout:
    """Checks that all networks of a model are there, with the right tensors.

    Raises:
        BundleError: a network is missing, or its tensors are others.
    """
    layers, hidden, row = architecture.layers, architecture.hidden, 2 * architecture.head_dim
    embedding = find("embedding", networks, _NAME).stages
    for name, (inputs, outputs) in _signatures(hidden, context, row, layers).items():
        check(name, find(name, networks, _NAME).stages[0], inputs, outputs)
    return WizardcoderLayout(
        layers,
        hidden,
        context,
        row,
        embed_prompt=_embedding_stage(embedding, context, hidden),
        embed_token=_embedding_stage(embedding, 1, hidden),
    )


def _signatures(hidden: int, context: int, row: int, layers: int) -> dict[str, tuple[list[Plain], list[Plain]]]:
    """Inputs and outputs of all networks but the embedding."""

    def floats(*shapes: tuple[int, ...]) -> list[Plain]:
        return [(FLOAT, shape) for shape in shapes]

    whole, one = (1, context, hidden), (1, 1, hidden)
    block = floats(whole, (1, 1, context, context)), floats(whole, (1, context, row))
    cached = (
        floats(one, (1, context, row), (1, 1, 1, context + 1)),
        floats(one, (1, context + 1, row)),
    )
    return {
        **{f"block_{layer}": block for layer in range(layers)},
        **{f"block_cache_{layer}": cached for layer in range(layers)},
        "lm_head": (floats((1, hidden)), [(INT, (1, 1))]),
    }


def _embedding_stage(stages: Sequence[Stage], tokens: int, hidden: int) -> int:
    ids, given = (INT, (1, tokens)), (FLOAT, (1, tokens, hidden))
    for index, stage in enumerate(stages):
        if plain((*stage.inputs, *stage.outputs)) == [ids, ids, given]:
            return index
    raise BundleError(
        f"the network embedding has no stage from int32[1, {tokens}] to float32[1, {tokens}, {hidden}]"
    )
