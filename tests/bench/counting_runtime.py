"""A device that keeps count of what it is asked to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from wizardtpud.device.runtime import Buffer, Launch, Packed, Runtime


@dataclass
class Traffic:
    """Launches of networks, and copies: how many, and of how many bytes."""

    launches: int = 0
    copies_to_device: int = 0
    bytes_to_device: int = 0
    copies_to_host: int = 0
    bytes_to_host: int = 0
    bytes_within_device: int = 0

    def __sub__(self, other: Traffic) -> Traffic:
        ours, theirs = astuple(self), astuple(other)
        return Traffic(*(mine - its for mine, its in zip(ours, theirs, strict=True)))

    def to_device(self, size: int) -> None:
        self.copies_to_device += 1
        self.bytes_to_device += size

    def to_host(self, size: int) -> None:
        self.copies_to_host += 1
        self.bytes_to_host += size


class CountingRuntime(Runtime):
    """Passes everything on to another runtime, which stays its owner's to close."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.networks = runtime.networks
        self.traffic = Traffic()

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Buffer:
        return _CountingBuffer(self._runtime.allocate(shape, dtype), self.traffic)

    def pack(self, tensors: Sequence[tuple[tuple[int, ...], np.dtype[Any]]]) -> Packed:
        return _CountingPacked(self._runtime.pack(tensors), self.traffic)

    def bind(self, network: str, inputs: Sequence[Buffer], outputs: Sequence[Buffer], stage: int = 0) -> Launch:
        return _CountingLaunch(self._runtime.bind(network, _own(inputs), _own(outputs), stage), self.traffic)

    def close(self) -> None:
        """Does nothing."""


class _CountingBuffer(Buffer):
    def __init__(self, buffer: Buffer, traffic: Traffic) -> None:
        self.buffer = buffer
        self.shape = buffer.shape
        self.dtype = buffer.dtype
        self._traffic = traffic

    def view(self, shape: tuple[int, ...], offset: int = 0) -> Buffer:
        return _CountingBuffer(self.buffer.view(shape, offset), self._traffic)

    def write(self, array: NDArray[Any]) -> None:
        self._traffic.to_device(array.nbytes)
        self.buffer.write(array)

    def read(self) -> NDArray[Any]:
        array = self.buffer.read()
        self._traffic.to_host(array.nbytes)
        return array

    def copy_from(self, source: Buffer) -> None:
        self._traffic.bytes_within_device += source.size * source.dtype.itemsize
        (own,) = _own([source])
        self.buffer.copy_from(own)


class _CountingPacked(Packed):
    def __init__(self, packed: Packed, traffic: Traffic) -> None:
        self._packed = packed
        self._traffic = traffic
        self.arrays = packed.arrays
        self.buffers = tuple(_CountingBuffer(buffer, traffic) for buffer in packed.buffers)

    def write(self) -> None:
        self._traffic.to_device(sum(array.nbytes for array in self.arrays))
        self._packed.write()


class _CountingLaunch(Launch):
    def __init__(self, launch: Launch, traffic: Traffic) -> None:
        self._launch = launch
        self._traffic = traffic

    def place_output(self, index: int, offset: int) -> None:
        self._launch.place_output(index, offset)

    def run(self) -> None:
        self._traffic.launches += 1
        self._launch.run()


def _own(buffers: Sequence[Buffer]) -> list[Buffer]:
    return [buffer.buffer if isinstance(buffer, _CountingBuffer) else buffer for buffer in buffers]
