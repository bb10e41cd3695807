"""The CPU device: networks run by onnxruntime on buffers in the host's memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from wizardtpud.device.checks import check_network, check_number, misfit
from wizardtpud.device.host_buffer import HostBuffer, HostPacked
from wizardtpud.device.runtime import Buffer, Launch, Network, OnProgress, Packed, Runtime, TensorSpec
from wizardtpud.errors import DeviceError

_DTYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(int64)": np.dtype(np.int64),
}
_FATAL_ONLY = 4  # what onnxruntime would log besides raising it is in the exception already


@dataclass(frozen=True)
class OnnxNetwork:
    """A network of static shape, made from an ONNX file by giving its symbolic dimensions their sizes."""

    name: str
    path: Path
    dimensions: Mapping[str, int]


class OnnxRuntime(Runtime):
    """Networks on the CPU. Those of one file share one session, and so its weights."""

    def __init__(
        self, networks: Sequence[OnnxNetwork], threads: int = 1, on_progress: OnProgress | None = None
    ) -> None:
        """Loads every file once.

        Args:
            networks: what to load.
            threads: how many threads share the work of one launch.
            on_progress: called after each file with bytes loaded and bytes in all.

        Raises:
            DeviceError: onnxruntime is not installed, or cannot load a file.
        """
        self._sessions: dict[Path, Any] = {}
        self._load({network.path for network in networks}, threads, on_progress)
        self.networks = {network.name: _describe(network, self._sessions[network.path]) for network in networks}
        self._session_of = {network.name: self._sessions[network.path] for network in networks}

    def _load(self, paths: set[Path], threads: int, on_progress: OnProgress | None) -> None:
        sizes = {path: _size(path) for path in sorted(paths)}
        loaded = 0
        for path, size in sizes.items():
            self._sessions[path] = _open_session(path, threads)
            loaded += size
            if on_progress is not None:
                on_progress(loaded, sum(sizes.values()))

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Buffer:
        return HostBuffer.zeros(shape, dtype)

    def pack(self, tensors: Sequence[tuple[tuple[int, ...], np.dtype[Any]]]) -> Packed:
        return HostPacked(tensors)

    def bind(self, network: str, inputs: Sequence[Buffer], outputs: Sequence[Buffer], stage: int = 0) -> Launch:
        assert stage == 0, "networks of this device have one shape"
        check_network(self.networks, network)
        return OnnxLaunch(self._session_of[network], self.networks[network], inputs, outputs)

    def close(self) -> None:
        self.networks = {}
        self._session_of.clear()
        self._sessions.clear()


class OnnxLaunch(Launch):
    """A session's binding to raw addresses, so that outputs may lie anywhere within a buffer."""

    def __init__(
        self, session: Any, network: Network, inputs: Sequence[Buffer], outputs: Sequence[Buffer]
    ) -> None:
        self._network = network
        self._session = session
        self._binding = session.io_binding()
        self._buffers = (
            *_host(network.inputs, inputs, network.name),
            *_host(network.outputs, outputs, network.name),
        )
        for spec, buffer in zip(network.inputs, self._buffers, strict=False):
            if buffer.size != prod(spec.shape):
                raise misfit(network.name, spec, buffer)
            self._binding.bind_input(spec.name, "cpu", 0, spec.dtype, spec.shape, buffer.array.ctypes.data)
        self._places = [
            _Place(network.name, spec, buffer)
            for spec, buffer in zip(network.outputs, self._buffers[len(inputs) :], strict=True)
        ]
        for index in range(len(outputs)):
            self.place_output(index, 0)

    def place_output(self, index: int, offset: int) -> None:
        place = self._places[index]
        if not 0 <= offset <= place.last_offset:
            raise DeviceError(f"{self._network.name}: an output at element {offset} is outside its buffer")
        address = place.address + offset * place.itemsize
        self._binding.bind_output(place.name, "cpu", 0, place.dtype, place.shape, address)

    def run(self) -> None:
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as error:  # onnxruntime's exceptions share no narrower base
            raise DeviceError(f"{self._network.name} failed: {error}") from error


class _Place:
    """Where an output may be written: kept ready, for outputs move with every step."""

    def __init__(self, network: str, spec: TensorSpec, buffer: HostBuffer) -> None:
        self.name, self.dtype, self.shape = spec.name, spec.dtype, spec.shape
        self.itemsize = spec.dtype.itemsize
        self.address: int = buffer.array.ctypes.data
        self.last_offset = buffer.size - prod(spec.shape)
        if self.last_offset < 0:
            raise misfit(network, spec, buffer)


def _host(specs: Sequence[TensorSpec], buffers: Sequence[Buffer], network: str) -> list[HostBuffer]:
    """The buffers, once it is known that they are as many as `specs`, of the right dtype and of this device."""
    check_number(network, specs, buffers)
    fitting = []
    for spec, buffer in zip(specs, buffers, strict=True):
        if not isinstance(buffer, HostBuffer) or buffer.dtype != spec.dtype:
            raise misfit(network, spec, buffer)
        fitting.append(buffer)
    return fitting


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise DeviceError(f"cannot read {path}: {error.strerror}") from error


def _open_session(path: Path, threads: int) -> Any:
    try:
        import onnxruntime  # noqa: PLC0415 - only this device needs it, and takes a second to import
    except ImportError as error:
        raise DeviceError("the cpu device needs onnxruntime: pip install 'wizardtpud[cpu]'") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Every file has threads of its own; if they waited spinning, those of one file would starve the next one's.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no narrower base
        raise DeviceError(f"onnxruntime cannot load {path}: {error}") from error


def _describe(network: OnnxNetwork, session: Any) -> Network:
    def specs(tensors: Sequence[Any]) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(t.name, _shape(network, t), _dtype(network, t)) for t in tensors)

    return Network(network.name, specs(session.get_inputs()), specs(session.get_outputs()))


def _shape(network: OnnxNetwork, tensor: Any) -> tuple[int, ...]:
    try:
        return tuple(size if isinstance(size, int) else network.dimensions[size] for size in tensor.shape)
    except KeyError as error:
        raise DeviceError(f"{network.path}: {tensor.name} has a dimension {error} of unknown size") from error


def _dtype(network: OnnxNetwork, tensor: Any) -> np.dtype[Any]:
    try:
        return _DTYPES[tensor.type]
    except KeyError as error:
        raise DeviceError(f"{network.path}: {tensor.name} is of an unsupported type, {tensor.type}") from error
