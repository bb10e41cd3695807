"""A network bound to tensors of sail."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from wizardtpud.device.checks import check_number, misfit
from wizardtpud.device.runtime import Buffer, Launch, Network, TensorSpec
from wizardtpud.device.sail.buffer import SailBuffer
from wizardtpud.device.sail.device import SailDevice
from wizardtpud.errors import DeviceError


class SailLaunch(Launch):
    """Tensors that are bound once; an output that moves is a new view into its buffer.

    Sail launches with whatever it is given, of any type and size, and ends the process if a tensor is missing:
    so all is checked here, once.
    """

    def __init__(
        self,
        device: SailDevice,
        network: Network,
        inputs: Sequence[Buffer],
        outputs: Sequence[Buffer],
        *,
        stage: int,
    ) -> None:
        specs = network.stages[stage]
        self._device = device
        self._name = network.name
        self._bound = _fitting(network.name, specs.inputs, inputs, exact=True)
        self._targets = _fitting(network.name, specs.outputs, outputs, exact=False)
        # The shape that is computed is that of the tensors. They are views of `_bound` and `_targets`.
        self._inputs = _tensors(specs.inputs, self._bound)
        self._outputs = _tensors(specs.outputs, self._targets)
        self._shapes = [list(spec.shape) for spec in specs.outputs]
        self._last_offsets = [
            buffer.size - prod(spec.shape) for spec, buffer in zip(specs.outputs, self._targets, strict=True)
        ]
        self._offsets = [0] * len(outputs)
        self._moved: set[int] = set()
        device.hold(self)

    def release(self) -> None:
        for tensors in (self._inputs, self._outputs):
            tensors.clear()

    def place_output(self, index: int, offset: int) -> None:
        if offset == self._offsets[index]:
            return
        if not 0 <= offset <= self._last_offsets[index]:
            raise DeviceError(f"{self._name}: an output at element {offset} is outside its buffer")
        self._offsets[index] = offset
        self._moved.add(index)

    def run(self) -> None:
        if not self._device.close.alive:
            raise DeviceError(f"{self._name}: the device is closed")
        try:
            for index in self._moved:
                self._move(index)
            self._moved.clear()
            self._device.engine.process(self._name, self._inputs, self._outputs)
        except self._device.library.errors as error:
            raise DeviceError(f"{self._name}: the launch failed: {error}") from error

    def _move(self, index: int) -> None:
        tensor = self._device.library.sail.Tensor
        self._outputs[index] = tensor(self._targets[index].tensor, self._shapes[index], self._offsets[index])


def _fitting(
    network: str, specs: Sequence[TensorSpec], buffers: Sequence[Buffer], *, exact: bool
) -> list[SailBuffer]:
    """The buffers, once it is known that as many as `specs` hold their tensors."""
    check_number(network, specs, buffers)
    fitting = []
    for spec, buffer in zip(specs, buffers, strict=True):
        size = prod(spec.shape)
        fits = buffer.size == size if exact else buffer.size >= size
        if not isinstance(buffer, SailBuffer) or buffer.dtype != spec.dtype or not fits:
            raise misfit(network, spec, buffer)
        fitting.append(buffer)
    return fitting


def _tensors(specs: Sequence[TensorSpec], buffers: Sequence[SailBuffer]) -> dict[int, Any]:
    """By their indices, in the shapes of `specs`."""
    return {
        index: buffer.view(spec.shape).tensor
        for index, (spec, buffer) in enumerate(zip(specs, buffers, strict=True))
    }
