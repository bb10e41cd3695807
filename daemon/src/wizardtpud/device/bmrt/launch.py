"""A network of a bmodel bound to device memory."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from operator import le
from typing import Any

from wizardtpud.device.bmrt.buffer import BmrtBuffer
from wizardtpud.device.bmrt.device import Device
from wizardtpud.device.bmrt.structures import Shape, Tensor
from wizardtpud.device.checks import check_number, misfit
from wizardtpud.device.runtime import Buffer, Launch, Network, TensorSpec
from wizardtpud.device.vendor.dtypes import code_of
from wizardtpud.errors import DeviceError


class BmrtLaunch(Launch):
    """Tensor structures that are prepared once; outputs move by their addresses."""

    def __init__(
        self,
        device: Device,
        runtime: int,
        network: Network,
        inputs: Sequence[Buffer],
        outputs: Sequence[Buffer],
        *,
        stage: int,
    ) -> None:
        self._device = device
        self._runtime = runtime
        self._name = network.name
        self._encoded = network.name.encode()
        self._launch = device.library.bmrt.bmrt_launch_tensor_ex
        specs = network.stages[stage]
        self._inputs = _tensors(network, specs.inputs, inputs, exact=True)
        self._outputs = _tensors(network, specs.outputs, outputs, exact=False)
        self._addresses = [tensor.memory.address for tensor in self._outputs]
        self._itemsizes = [spec.dtype.itemsize for spec in specs.outputs]
        self._last_offsets = [
            buffer.size - prod(tensor.shape.sizes()) for tensor, buffer in zip(self._outputs, outputs, strict=True)
        ]

    def place_output(self, index: int, offset: int) -> None:
        if not 0 <= offset <= self._last_offsets[index]:
            raise DeviceError(f"{self._name}: an output at element {offset} is outside its buffer")
        self._outputs[index].memory.address = self._addresses[index] + offset * self._itemsizes[index]

    def run(self) -> None:
        if not self._device.close.alive:
            raise DeviceError(f"{self._name}: the device is closed")
        inputs, outputs = self._inputs, self._outputs
        # Outputs go to the memory named here, not to the runtime's own, and without gaps between elements.
        if not self._launch(self._runtime, self._encoded, inputs, len(inputs), outputs, len(outputs), True, False):
            raise DeviceError(f"{self._name}: the launch failed")
        self._device.launched()


def _tensors(network: Network, specs: Sequence[TensorSpec], buffers: Sequence[Buffer], *, exact: bool) -> Any:
    """The structures of `specs`, once it is known that as many buffers hold them."""
    check_number(network.name, specs, buffers)
    tensors = (Tensor * len(specs))()
    for tensor, spec, buffer in zip(tensors, specs, buffers, strict=True):
        shape = _smaller(spec, buffer) if network.dynamic else spec.shape
        size = prod(shape)
        fits = buffer.size == size if exact else buffer.size >= size
        if not isinstance(buffer, BmrtBuffer) or buffer.dtype != spec.dtype or not fits:
            raise misfit(network.name, spec, buffer)
        tensor.dtype = code_of(spec.dtype)
        tensor.shape = Shape.of(shape)
        tensor.memory = buffer.memory.part(0, size * spec.dtype.itemsize)
    return tensors


def _smaller(spec: TensorSpec, buffer: Buffer) -> tuple[int, ...]:
    """The buffer's shape, if a dynamic network takes it; else the network's."""
    fits = len(buffer.shape) == len(spec.shape) and all(map(le, buffer.shape, spec.shape))
    return buffer.shape if fits else spec.shape
