"""How alike two results are: the cosine of the angle between them, 1 for equal directions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def similarity(inputs: Mapping[str, Array], found: Mapping[str, Array], expected: Mapping[str, Array]) -> float:
    """Of the least similar output. What a block adds to the hidden states counts, not what it passes on."""
    before = {"hidden_states_out": inputs["hidden_states"]} if "hidden_states_out" in expected else {}
    return min(
        cosine(found[name] - before.get(name, 0), array - before.get(name, 0)) for name, array in expected.items()
    )


def cosine(left: Array, right: Array) -> float:
    """1 for two arrays of zeros; NaN if there is one in either array; whole numbers are equal (1) or not (0)."""
    if right.dtype.kind == "i":
        return float(np.array_equal(left, right))
    left, right = left.astype(np.float64).ravel(), right.astype(np.float64).ravel()
    norms = float(np.linalg.norm(left) * np.linalg.norm(right))
    return float(left @ right) / norms if norms else float(np.array_equal(left, right))
