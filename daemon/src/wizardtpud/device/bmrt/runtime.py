"""The networks of a bmodel on a TPU or its simulator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wizardtpud.device.bmrt.buffer import BmrtBuffer, BmrtPacked
from wizardtpud.device.bmrt.device import Device
from wizardtpud.device.bmrt.launch import BmrtLaunch
from wizardtpud.device.bmrt.library import BmrtLibrary
from wizardtpud.device.bmrt.structures import Memory, NetworkInfo
from wizardtpud.device.checks import check_network
from wizardtpud.device.runtime import Buffer, Launch, Network, Packed, Runtime, Stage, TensorSpec
from wizardtpud.device.telemetry import telemetry_of
from wizardtpud.device.vendor.dtypes import dtype_of
from wizardtpud.errors import DeviceError

_SHARE_MEMORY = 1
"""BM_RUNTIME_SHARE_MEM: all networks have one memory for what lies between their inputs and outputs, as only one
runs at a time. The networks of the original WizardCoder demonstration give garbage without."""


class BmrtRuntime(Runtime):
    """A bmodel loaded by libbmrt.

    The library notices a file that is cut short, but not what changed inside: that may give wrong numbers or end
    the process. So the file's sha256 must have been checked.
    """

    def __init__(
        self,
        model: Path,
        library: BmrtLibrary,
        devices: Sequence[int] = (0,),
        device_bytes: int = 0,
    ) -> None:
        """Opens the devices and loads the model.

        Args:
            model: the bmodel file.
            library: what drives the devices.
            devices: numbers of the devices; as many as the bmodel was compiled for.
            device_bytes: what loading takes of each device's memory, as far as it is known.

        Raises:
            DeviceError: there is no such device, it has no room for the model, or cannot load the file.
        """
        if not model.is_file():
            raise DeviceError(f"there is no file {model}")
        self._device = Device(library, devices)
        try:
            self._device.memory.take(device_bytes, model.name)
            self.telemetry = telemetry_of(devices, self._device.readings)
            self._runtime = _load(self._device, model)
            infos = list(_infos(library.bmrt, self._runtime))
            if len(devices) > 1:
                for info in infos:
                    _check_places(info)
            self.networks = {network.name: network for network in map(_describe, infos)}
        except BaseException:
            self.close()
            raise

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Buffer:
        return BmrtBuffer.zeros(self._device, shape, dtype)

    def pack(self, tensors: Sequence[tuple[tuple[int, ...], np.dtype[Any]]]) -> Packed:
        return BmrtPacked(self._device, tensors)

    def bind(self, network: str, inputs: Sequence[Buffer], outputs: Sequence[Buffer], stage: int = 0) -> Launch:
        check_network(self.networks, network)
        return BmrtLaunch(self._device, self._runtime, self.networks[network], inputs, outputs, stage=stage)

    def own_input(self, network: str, index: int, stage: int = 0) -> Buffer:
        check_network(self.networks, network)
        info = self._device.library.bmrt.bmrt_get_network_info(self._runtime, network.encode()).contents
        spec = self.networks[network].stages[stage].inputs[index]
        memory = Memory.from_buffer_copy(info.stages[stage].input_memories[index])
        return BmrtBuffer(self._device, memory, spec.shape, spec.dtype)

    def close(self) -> None:
        self.networks = {}
        self._device.close()


def _load(device: Device, model: Path) -> int:
    """A libbmrt runtime with the model, destroyed before the device is closed."""
    bmrt = device.library.bmrt
    runtime: int | None = bmrt.bmrt_create_ex(device.handles, len(device.handles))
    if not runtime:
        raise DeviceError("bmrt_create_ex: it failed")
    device.on_close(bmrt.bmrt_destroy, runtime)
    bmrt.bmrt_set_flags(runtime, _SHARE_MEMORY)
    if not bmrt.bmrt_load_bmodel(runtime, bytes(model)):
        raise DeviceError(f"the runtime cannot load {model}: it is no bmodel for this device, or is damaged")
    return runtime


def _infos(bmrt: Any, runtime: int) -> Iterator[NetworkInfo]:
    for index in range(bmrt.bmrt_get_network_number(runtime)):
        name = bmrt.bmrt_get_network_name(runtime, index)
        yield bmrt.bmrt_get_network_info(runtime, name).contents


def _check_places(info: NetworkInfo) -> None:
    """Sees that all tensors of a network for several devices are on the first: all memory here is there."""
    places = [*info.input_places[: info.input_count], *info.output_places[: info.output_count]]
    if any(places):
        raise DeviceError(
            f"{info.name.decode()} has tensors on device {max(places)} of its group, counted from 0, and this "
            "daemon keeps all on the first; compile the model for one device, or with wizardtpu-compile"
        )


def _describe(info: NetworkInfo) -> Network:
    first, *others = (_stage(info, index) for index in range(info.stage_count))
    return Network(info.name.decode(), first.inputs, first.outputs, tuple(others), bool(info.is_dynamic))


def _stage(info: NetworkInfo, index: int) -> Stage:
    stage = info.stages[index]
    return Stage(
        _specs(info.input_count, info.input_names, stage.input_shapes, info.input_dtypes),
        _specs(info.output_count, info.output_names, stage.output_shapes, info.output_dtypes),
    )


def _specs(count: int, names: Any, shapes: Any, dtypes: Any) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(names[index].decode(), shapes[index].sizes(), dtype_of(dtypes[index])) for index in range(count)
    )
