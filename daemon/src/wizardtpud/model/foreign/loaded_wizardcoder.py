"""A model in the layout of the original demonstration, among the networks that a device has loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import Self

from wizardtpud.device.runtime import Network
from wizardtpud.model.manifest import Manifest


@dataclass(frozen=True)
class LoadedWizardcoder:
    """The numbers of the model, and which stage of the embedding is for what.

    Attributes:
        context: S, rows that a layer looks back on.
        row: 2D, elements of a row.
        dtype: of hidden states, masks and rows.
        embed_prompt: the stage for S tokens.
        embed_token: the stage for one token.
    """

    layers: int
    hidden: int
    vocabulary: int
    context: int
    row: int
    dtype: np.dtype[Any]
    embed_prompt: int
    embed_token: int

    @classmethod
    def of(cls, manifest: Manifest, networks: Mapping[str, Network]) -> Self:
        """Looks at the first layer: that the others are like it was checked when the file was."""
        _, past, _ = networks["block_cache_0"].inputs
        lengths = [stage.inputs[0].shape[1] for stage in networks["embedding"].stages]
        return cls(
            layers=manifest.architecture.layers,
            hidden=manifest.architecture.hidden,
            vocabulary=manifest.architecture.vocabulary,
            context=manifest.context,
            row=past.shape[-1],
            dtype=past.dtype,
            embed_prompt=lengths.index(manifest.context),
            embed_token=lengths.index(1),
        )
