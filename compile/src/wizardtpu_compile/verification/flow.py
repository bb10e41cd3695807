"""Inputs for networks: what the float reference made of some tokens on their way through the model."""

from __future__ import annotations

from collections.abc import Sequence

from wizardtpu_compile.checkpoint.config import ModelConfig
from wizardtpu_compile.network.description import Network, Value
from wizardtpu_compile.network.reference import Array, Arrays, evaluate
from wizardtpu_compile.verification.inputs import Shape, made_up_input

_PASSED_ON = ("hidden_states", "logits")


class Flow:
    """Takes the networks in the order of a token's way; each gets what the reference made of the ones before.

    Histories are made up.
    """

    def __init__(self, config: ModelConfig, shapes: Sequence[Shape]) -> None:
        self._config = config
        self._shapes = shapes
        self._passed: list[Arrays] = [{} for _ in shapes]

    def inputs(self, network: Network) -> list[Arrays]:
        """What the network gets, for each of the shapes."""
        if network.role == "lm_head":
            self._passed = [{"hidden_states": passed["hidden_states"][:, -1:]} for passed in self._passed]
        return [
            {value.name: self._input(value, index) for value in network.inputs}
            for index in range(len(self._shapes))
        ]

    def advance(self, network: Network, inputs: Sequence[Arrays]) -> list[Arrays]:
        """The float reference's outputs, which later networks go on from."""
        expected = evaluate(network, inputs)
        for passed, outputs in zip(self._passed, expected, strict=True):
            passed.update({name: outputs[name] for name in _PASSED_ON if name in outputs})
            passed["hidden_states"] = outputs.get("hidden_states_out", passed["hidden_states"])
        return expected

    def _input(self, value: Value, index: int) -> Array:
        passed = self._passed[index]
        if value.name in passed:
            return passed[value.name]
        return made_up_input(value.name, value.shape[-1], self._shapes[index], self._config)
