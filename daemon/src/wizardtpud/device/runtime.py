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

from wizardtpud.device.telemetry import Telemetry

OnProgress = Callable[[int, int], None]
"""Hears of long work as it goes on: bytes done, and bytes in all."""


@dataclass(frozen=True)
class TensorSpec:
    """What a network expects of one of its tensors."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Stage:
    """One of the shapes that a network was compiled for, in the order `Runtime.bind` takes tensors."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True)
class Network:
    """A network as loaded.

    Attributes:
        inputs: of the first stage; most networks have no other.
        outputs: likewise.
        further_stages: with the same tensors in other shapes.
        dynamic: whether dimensions may also be smaller than those of a stage.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    further_stages: tuple[Stage, ...] = ()
    dynamic: bool = False

    @property
    def stages(self) -> tuple[Stage, ...]:
        return (Stage(self.inputs, self.outputs), *self.further_stages)


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
        """A copy of the buffer on the host, made when everything launched before is done.

        Raises:
            DeviceError: something launched before failed.
        """

    @abstractmethod
    def copy_from(self, source: Buffer) -> None:
        """Copies a buffer of the same device, size and dtype; the two do not overlap."""


class Packed(ABC):
    """Tensors that are written to the device together.

    Attributes:
        arrays: on the host, zero at first: to be changed in place.
        buffers: on the device, as many.
    """

    arrays: tuple[NDArray[Any], ...]
    buffers: tuple[Buffer, ...]

    @abstractmethod
    def write(self) -> None:
        """Copies all arrays to their buffers, in one copy if the device has a way to."""


class Launch(ABC):
    """A network bound to its buffers: prepared once, run many times."""

    @abstractmethod
    def place_output(self, index: int, offset: int) -> None:
        """Lets output `index` be written `offset` elements into the buffer it is bound to, from the next run on.

        The caller answers for the output lying within the buffer: this is called for every layer of every step.
        """

    @abstractmethod
    def run(self) -> None:
        """Runs the network after everything launched before. It may be done only when a buffer is read.

        Raises:
            DeviceError: the launch failed.
        """


class Runtime(ABC):
    """A loaded model on a device. Used by one thread at a time: the one that owns the device."""

    networks: Mapping[str, Network]
    telemetry: Sequence[Telemetry] = ()
    """Of each of the devices, if there is any."""

    @abstractmethod
    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Buffer:
        """A zeroed tensor in device memory, freed by `close`.

        Raises:
            DeviceError: the device has no room for it.
        """

    @abstractmethod
    def pack(self, tensors: Sequence[tuple[tuple[int, ...], np.dtype[Any]]]) -> Packed:
        """Zeroed tensors of these shapes and dtypes in device memory, freed by `close`.

        Raises:
            DeviceError: the device has no room for them.
        """

    @abstractmethod
    def bind(self, network: str, inputs: Sequence[Buffer], outputs: Sequence[Buffer], stage: int = 0) -> Launch:
        """Binds a stage of a network to buffers.

        An output buffer may be larger than the output: see `Launch.place_output`. A dynamic network computes
        for the shapes that the input buffers have.

        Raises:
            DeviceError: no such network, or a buffer whose dtype or size does not fit.
        """

    def own_input(self, network: str, index: int, stage: int = 0) -> Buffer | None:
        """The memory that the network itself has for an input, if this device shows it."""
        del network, index, stage
        return None

    @abstractmethod
    def close(self) -> None:
        """Frees everything. Calling it again does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
