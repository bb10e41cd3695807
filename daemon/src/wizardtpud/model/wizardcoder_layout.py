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

import numpy as np

from wizardtpud.device.runtime import Network, Stage, TensorSpec
from wizardtpud.errors import BundleError
from wizardtpud.model.manifest import Architecture

_FLOAT, _INT = np.dtype(np.float32), np.dtype(np.int32)


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
    embedding = _find("embedding", networks).stages
    for stage in _shapes(hidden, context, row, layers).items():
        _check(stage[0], _find(stage[0], networks).stages[0], *stage[1])
    return WizardcoderLayout(
        layers,
        hidden,
        context,
        row,
        embed_prompt=_embedding_stage(embedding, context, hidden),
        embed_token=_embedding_stage(embedding, 1, hidden),
    )


Shapes = tuple[tuple[int, ...], ...]


def _shapes(hidden: int, context: int, row: int, layers: int) -> dict[str, tuple[Shapes, Shapes]]:
    """Shapes of inputs and outputs of all networks but the embedding."""
    whole, one = (1, context, hidden), (1, 1, hidden)
    block = (whole, (1, 1, context, context)), (whole, (1, context, row))
    cached = (one, (1, context, row), (1, 1, 1, context + 1)), (one, (1, context + 1, row))
    return {
        **{f"block_{layer}": block for layer in range(layers)},
        **{f"block_cache_{layer}": cached for layer in range(layers)},
        "lm_head": (((1, hidden),), ((1, 1),)),
    }


def _find(name: str, networks: Mapping[str, Network]) -> Network:
    if name not in networks:
        raise BundleError(f"the bmodel has no network {name}, which the layout wizardcoder-tpu needs")
    return networks[name]


def _check(name: str, stage: Stage, inputs: Shapes, outputs: Shapes) -> None:
    results = _INT if name == "lm_head" else _FLOAT
    for kind, found, shapes, dtype in (
        ("inputs", stage.inputs, inputs, _FLOAT),
        ("outputs", stage.outputs, outputs, results),
    ):
        if [(spec.shape, spec.dtype) for spec in found] != [(shape, dtype) for shape in shapes]:
            wanted = ", ".join(f"{dtype}{list(shape)}" for shape in shapes)
            raise BundleError(f"the {kind} of {name} are ({_text(found)}) instead of ({wanted})")


def _embedding_stage(stages: Sequence[Stage], tokens: int, hidden: int) -> int:
    ids, given = ((1, tokens), _INT), ((1, tokens, hidden), _FLOAT)
    for index, stage in enumerate(stages):
        found = [(spec.shape, spec.dtype) for spec in (*stage.inputs, *stage.outputs)]
        if found == [ids, ids, given]:
            return index
    raise BundleError(
        f"the network embedding has no stage from int32[1, {tokens}] to float32[1, {tokens}, {hidden}]"
    )


def _text(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{spec.dtype}{list(spec.shape)}" for spec in specs)
