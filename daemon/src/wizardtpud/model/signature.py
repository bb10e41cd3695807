"""Networks of layouts that others made: found by name, known by the types and shapes of their tensors in order.

The names of those tensors are their compiler's, and tell nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wizardtpud.device.runtime import Network, Stage, TensorSpec
from wizardtpud.errors import BundleError

Plain = tuple[np.dtype[Any], tuple[int, ...]]
"""Type and shape of a tensor."""

FLOAT, INT = np.dtype(np.float32), np.dtype(np.int32)


def find(name: str, networks: Mapping[str, Network], layout: str) -> Network:
    """The network of this name.

    Raises:
        BundleError: there is none.
    """
    if name not in networks:
        raise BundleError(f"the bmodel has no network {name}, which the layout {layout} needs")
    return networks[name]


def check(name: str, stage: Stage, inputs: Sequence[Plain], outputs: Sequence[Plain]) -> None:
    """Compares the tensors of a network's stage with those it must have.

    Raises:
        BundleError: they are others.
    """
    for kind, specs, wanted in (("inputs", stage.inputs, inputs), ("outputs", stage.outputs, outputs)):
        found = plain(specs)
        if found != list(wanted):
            raise BundleError(f"the {kind} of {name} are ({_text(found)}) instead of ({_text(wanted)})")


def plain(specs: Sequence[TensorSpec]) -> list[Plain]:
    return [(spec.dtype, spec.shape) for spec in specs]


def _text(tensors: Sequence[Plain]) -> str:
    return ", ".join(f"{dtype}{list(shape)}" for dtype, shape in tensors)
