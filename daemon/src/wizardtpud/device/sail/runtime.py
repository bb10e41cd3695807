"""The networks of a bmodel, run by sophon-sail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from wizardtpud.device.checks import check_network
from wizardtpud.device.runtime import Buffer, Launch, Network, Packed, Runtime, Stage, TensorSpec
from wizardtpud.device.sail.buffer import SailBuffer, SailPacked
from wizardtpud.device.sail.device import SailDevice
from wizardtpud.device.sail.dtypes import dtype_of_sail
from wizardtpud.device.sail.launch import SailLaunch
from wizardtpud.device.sail.library import SailLibrary
from wizardtpud.device.telemetry import telemetry_of
from wizardtpud.errors import DeviceError


class SailRuntime(Runtime):
    """A bmodel loaded by sophon-sail.

    What changed inside a file is not noticed, and may give wrong numbers or end the process. So the file's sha256
    must have been checked. Networks that take smaller shapes, too, are run in the shapes of their stages alone.
    """

    def __init__(
        self,
        model: Path,
        devices: Sequence[int] = (0,),
        library: SailLibrary | None = None,
        *,
        device_bytes: int = 0,
    ) -> None:
        """Opens the devices and loads the model.

        Args:
            model: the bmodel file.
            devices: numbers of the devices; as many as the bmodel was compiled for.
            library: what drives the devices; by default `SailLibrary.load()`.
            device_bytes: what loading takes of each device's memory, as far as it is known.

        Raises:
            DeviceError: sophon-sail is missing or too old; there is no such device, it has no room for the model,
                or cannot load the file.
        """
        if not model.is_file():
            raise DeviceError(f"there is no file {model}")
        library = library or SailLibrary.load()
        self._device = SailDevice(library, devices, model, device_bytes)
        self.telemetry = telemetry_of(devices, self._device.readings)
        try:
            with library.translated(f"cannot read the networks of {model}"):
                self.networks = {network.name: network for network in _networks(self._device)}
        except BaseException:
            self.close()
            raise

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Buffer:
        return SailBuffer.zeros(self._device, shape, dtype)

    def pack(self, tensors: Sequence[tuple[tuple[int, ...], np.dtype[Any]]]) -> Packed:
        return SailPacked(self._device, tensors)

    def bind(self, network: str, inputs: Sequence[Buffer], outputs: Sequence[Buffer], stage: int = 0) -> Launch:
        check_network(self.networks, network)
        return SailLaunch(self._device, self.networks[network], inputs, outputs, stage=stage)

    def close(self) -> None:
        self.networks = {}
        self._device.close()


# None of these has the engine as a local: an error's traceback would keep it beyond `close`, and end the process.


def _networks(device: SailDevice) -> Iterator[Network]:
    for name in device.engine.get_graph_names():
        first, *others = (_stage(device, name, stage) for stage in _stages(device, name))
        yield Network(name, first.inputs, first.outputs, tuple(others))


def _stages(device: SailDevice, network: str) -> Iterator[int]:
    """Their indices: how many there are is not told, but one that is not there has no shapes."""
    yield 0
    for stage in count(1):
        try:
            device.engine.get_input_shape(network, 0, stage)
        except device.library.errors:
            return
        yield stage


def _stage(device: SailDevice, network: str, stage: int) -> Stage:
    return Stage(*(_specs(device, network, side, stage) for side in ("input", "output")))


def _specs(device: SailDevice, network: str, side: str, stage: int) -> tuple[TensorSpec, ...]:
    def ask(what: str, *arguments: int) -> Any:
        return getattr(device.engine, f"get_{side}_{what}")(network, *arguments)

    return tuple(
        TensorSpec(
            ask("name", index),
            tuple(ask("shape", index, stage)),
            dtype_of_sail(device.library.sail, ask("dtype", index)),
        )
        for index in range(ask("num"))
    )
