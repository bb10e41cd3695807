"""Compares ONNX files with the float reference: some tokens of a prompt, then one token after a history."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from wizardtpu_compile.checkpoint.config import ModelConfig
from wizardtpu_compile.errors import VerificationError
from wizardtpu_compile.network.description import Network
from wizardtpu_compile.network.reference import Arrays
from wizardtpu_compile.options.cpu import Precision
from wizardtpu_compile.verification.flow import Flow
from wizardtpu_compile.verification.inputs import Shape
from wizardtpu_compile.verification.similarity import similarity

LOWEST_SIMILARITY: dict[Precision, float] = {"f32": 0.99999, "int8": 0.99, "int4": 0.9}
"""Cosine below which a network is wrong and not merely rounded: a wrong one is near zero."""

_TOKENS = 8
_HISTORY = 16


class OnnxVerifier:
    """Takes the networks in the order of a token's way; each gets what the reference made of the ones before."""

    def __init__(self, config: ModelConfig, context: int) -> None:
        # A prompt begins with a history of which nothing may be seen; the decoded token sees half of it.
        prompt = Shape(1, min(_TOKENS, context), _HISTORY, visible=0)
        self._flow = Flow(config, [prompt, Shape(1, 1, _HISTORY, visible=_HISTORY // 2)])

    def check(self, network: Network, path: Path, precision: Precision) -> float:
        """The lowest cosine similarity between what the network at `path` computes and the reference.

        Raises:
            VerificationError: it is lower than rounding explains, or onnxruntime cannot run the network.
        """
        inputs = self._flow.inputs(network)
        found = _run(path, inputs)
        lowest = min(map(similarity, inputs, found, self._flow.advance(network, inputs)))
        if not lowest >= LOWEST_SIMILARITY[precision]:
            raise VerificationError(
                f"{network.name}: the cosine between it and the float reference is {lowest:.5f}, less than "
                f"{LOWEST_SIMILARITY[precision]} at {precision}: the bundle was not written"
            )
        return lowest


def _run(path: Path, inputs: list[Arrays]) -> list[Arrays]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it would log besides raising is in the exception already
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return [dict(zip(names, session.run(names, run), strict=True)) for run in inputs]
    except Exception as error:  # onnxruntime's exceptions share no narrower base
        raise VerificationError(f"{path.name}: onnxruntime cannot run it: {error}") from error
