"""The interface between the engine and whatever runs the networks: a chip, its simulator, or the CPU."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

OnProgress = Callable[[int, int], None]
"""Hears of long work as it goes on: bytes done, and bytes in all."""


@dataclass(frozen=True)
class TensorSpec:
    """What a network expects of one of its tensors."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Network:
    """A network as loaded: static shapes, inputs and outputs in the order `Runtime.bind` takes them."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class Buffer(ABC):
    """A tensor in device memory, or a view into one."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @abstractmethod
    def view(self, shape: tuple[int, ...], offset: int = 0) -> Buffer:
        """A contiguous part of this buffer, `offset` elements from its start; shares its memory.

        Raises:
            DeviceError: the part does not lie within this buffer.
        """

    @abstractmethod
    def write(self, array: NDArray[Any]) -> None:
        """Copies a host array of this buffer's shape and dtype to the device."""

    @abstractmethod
    def read(self) -> NDArray[Any]:
        """A copy of the buffer on the host."""


class Launch(ABC):
    """A network bound to its buffers: prepared once, run many times."""

    @abstractmethod
    def place_output(self, index: int, offset: int) -> None:
        """Lets output `index` be written `offset` elements into the buffer it is bound to, from the next run on.

        The caller answers for the output lying within the buffer: this is called for every layer of every step.
        """

    @abstractmethod
    def run(self) -> None:
        """Runs the network and returns when its outputs are written.

        Raises:
            DeviceError: the launch failed.
        """


class Runtime(ABC):
    """A loaded model on a device. Used by one thread at a time: the one that owns the device."""

    networks: Mapping[str, Network]

    @abstractmethod
    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Buffer:
        """A zeroed tensor in device memory, freed by `close`.

        Raises:
            DeviceError: the device has no room for it.
        """

    @abstractmethod
    def bind(self, network: str, inputs: Sequence[Buffer], outputs: Sequence[Buffer]) -> Launch:
        """Binds a network to buffers. An output buffer may be larger than the output: see `Launch.place_output`.

        Raises:
            DeviceError: no such network, or a buffer whose dtype or size does not fit.
        """

    @abstractmethod
    def close(self) -> None:
        """Frees everything. Calling it again does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
