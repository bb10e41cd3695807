"""A device that keeps count of what it is asked to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from wizardtpud.device.runtime import Buffer, Launch, Runtime


@dataclass
class Traffic:
    """Launches of networks, and bytes copied between host and device."""

    launches: int = 0
    bytes_to_device: int = 0
    bytes_to_host: int = 0

    def __sub__(self, other: Traffic) -> Traffic:
        return Traffic(
            self.launches - other.launches,
            self.bytes_to_device - other.bytes_to_device,
            self.bytes_to_host - other.bytes_to_host,
        )


class CountingRuntime(Runtime):
    """Passes everything on to another runtime, which stays its owner's to close."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.networks = runtime.networks
        self.traffic = Traffic()

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Buffer:
        return _CountingBuffer(self._runtime.allocate(shape, dtype), self.traffic)

    def bind(self, network: str, inputs: Sequence[Buffer], outputs: Sequence[Buffer]) -> Launch:
        return _CountingLaunch(self._runtime.bind(network, _own(inputs), _own(outputs)), self.traffic)

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
        self._traffic.bytes_to_device += array.nbytes
        self.buffer.write(array)

    def read(self) -> NDArray[Any]:
        array = self.buffer.read()
        self._traffic.bytes_to_host += array.nbytes
        return array


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
