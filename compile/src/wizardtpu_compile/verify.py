"""Compares written networks with the float reference: a few tokens of prefill, then one of decode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from wizardtpu_compile.checkpoint.config import ModelConfig
from wizardtpu_compile.errors import VerificationError
from wizardtpu_compile.network.description import Network
from wizardtpu_compile.network.reference import Arrays, evaluate
from wizardtpu_compile.options import Precision

HIDDEN = -10000.0
"""What the attention mask adds to hide a row."""

LOWEST_SIMILARITY: dict[Precision, float] = {"f32": 0.99999, "int8": 0.99, "int4": 0.9}
"""Cosine below which a network is wrong rather than rounded. Good ones are far above, wrong ones near zero."""

PREFILL_TOKENS = 8
UNUSED_ROWS = 3


class Verifier:
    """Takes the networks in their order, following the hidden states of the reference from one to the next."""

    def __init__(self, config: ModelConfig, context: int) -> None:
        tokens = min(PREFILL_TOKENS, context - 1)
        ids = np.arange(tokens + 1, dtype=np.int32)[None] * 7919 % config.vocab_size
        places = np.arange(tokens + 1, dtype=np.int32)[None]
        self._tokens = tokens
        self._head_dim = config.head_dim
        self._prefill: Arrays = {"input_ids": ids[:, :-1], "position_ids": places[:, :-1]}
        self._decode: Arrays = {"input_ids": ids[:, -1:], "position_ids": places[:, -1:]}

    def check(self, network: Network, path: Path, precision: Precision) -> float:
        """Lowest cosine similarity between an output of the network at `path` and the reference's.

        Raises:
            VerificationError: it is lower than rounding explains, or onnxruntime cannot load or run the network.
        """
        prefill = self._inputs(network, self._prefill, self._tokens)
        expected = evaluate(network, [prefill])[0]
        runs, references = [prefill], [expected]
        ...
        raise NotImplementedError
