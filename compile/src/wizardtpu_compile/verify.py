"""Compares written networks with the float reference: some tokens of a prompt, then one token after a history."""

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

LOWEST_SIMILARITY: dict[Precision, float] = {"f32": 0.99999, "int8": 0.99, "int4": 0.9}
"""Cosine below which a network is wrong and not merely rounded: a wrong one is near zero."""

_TOKENS = 8
_HISTORY = 16
_HIDDEN = -10000.0  # what the attention mask adds to hide a row


class Verifier:
    """Takes the networks in the order of a token's way; each gets what the reference made of the ones before."""

    def __init__(self, config: ModelConfig, context: int) -> None:
        random = np.random.default_rng(0)
        row = (1, _HISTORY, 1, config.head_dim)
        self._history = {name: random.standard_normal(row, np.float32) for name in ("history_k", "history_v")}
        tokens = min(_TOKENS, context)
        # A prompt begins with a history of which nothing may be seen; the decoded token sees half of it.
        self._runs = [self._start(config, tokens, visible=0), self._start(config, 1, visible=_HISTORY // 2)]

    def _start(self, config: ModelConfig, tokens: int, visible: int) -> Arrays:
        mask = np.zeros((1, 1, tokens, _HISTORY + tokens), np.float32)
        mask[..., visible:_HISTORY] = _HIDDEN
        mask[..., _HISTORY:] = np.triu(np.full((tokens, tokens), _HIDDEN), k=1)
        places = np.arange(tokens, dtype=np.int32)[None]
        # 7919 is a prime that takes the ids all over the vocabulary.
        ids = ((places + 1) * 7919 % config.vocab_size).astype(np.int32)
        return {"input_ids": ids, "position_ids": places, "attention_mask": mask, **self._history}

    def check(self, network: Network, path: Path, precision: Precision) -> float:
        """The lowest cosine similarity between what the network at `path` computes and the reference.

        Raises:
            VerificationError: it is lower than rounding explains, or onnxruntime cannot run the network.
        """
        if network.role == "lm_head":
            self._runs = [{**run, "hidden_states": run["hidden_states"][:, -1:]} for run in self._runs]
        inputs = [{value.name: run[value.name] for value in network.inputs} for run in self._runs]
        expected = evaluate(network, inputs)
        found = _run(path, inputs)
        for run, outputs in zip(self._runs, expected, strict=True):
            run.update(outputs)
            run["hidden_states"] = run.pop("hidden_states_out", run["hidden_states"])
        similarity = min(map(_similarity, inputs, found, expected))
        if not similarity >= LOWEST_SIMILARITY[precision]:
            raise VerificationError(
                f"{network.name}: the cosine between it and the float reference is {similarity:.5f}, less than "
                f"{LOWEST_SIMILARITY[precision]} at {precision}: the bundle was not written"
            )
        return similarity


def _run(path: Path, inputs: list[Arrays]) -> list[Arrays]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it would log besides raising is in the exception already
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return [dict(zip(names, session.run(names, run), strict=True)) for run in inputs]
    except Exception as error:  # onnxruntime's exceptions share no narrower base
        raise VerificationError(f"{path.name}: onnxruntime cannot run it: {error}") from error


def _similarity(inputs: Arrays, found: Arrays, expected: Arrays) -> float:
    """Of the least similar output. What a block adds to the hidden states counts, not what it passes on."""
    before = {"hidden_states_out": inputs["hidden_states"]} if "hidden_states_out" in expected else {}
    return min(
        _cosine(found[name] - before.get(name, 0), array - before.get(name, 0)) for name, array in expected.items()
    )


def _cosine(left: NDArray[Any], right: NDArray[Any]) -> float:
    """1 for two arrays of zeros; NaN if there is one in either array."""
    left, right = left.astype(np.float64).ravel(), right.astype(np.float64).ravel()
    norms = float(np.linalg.norm(left) * np.linalg.norm(right))
    return float(left @ right) / norms if norms else float(np.array_equal(left, right))
