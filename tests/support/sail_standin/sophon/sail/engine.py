"""The networks of a bmodel."""

from __future__ import annotations

from ctypes import c_void_p
from pathlib import Path
from typing import Any
from weakref import finalize

from wizardtpud.device.bmrt.structures import NetworkInfo, Shape
from wizardtpud.device.bmrt.structures import Tensor as Structure

from .crash import Crash
from .dtype import Dtype
from .errors import SailEngineError
from .handle import Handle
from .simulator import LIBRARY, require_device
from .tensor import Tensor

BMRT = LIBRARY.bmrt


class EngineLLM:
    """Closed when nothing refers to it, but not when the interpreter exits."""

    def __init__(self, bmodel_path: str, tpu_ids: list[int]) -> None:
        if not tpu_ids:
            raise SailEngineError("EngineLLM device_ids error!")
        for number in tpu_ids:
            require_device(number)
        if not Path(bmodel_path).exists():
            raise SailEngineError("EngineLLM bmodel error!")
        self._handle = Handle(tpu_ids[0])
        self._runtime = BMRT.bmrt_create_ex((c_void_p * 1)(self._handle.pointer), 1)
        # The arguments of the function keep the device open until the runtime is gone.
        finalize(self, _destroy, self._runtime, self._handle).atexit = False
        if not BMRT.bmrt_load_bmodel(self._runtime, bmodel_path.encode()):
            raise SailEngineError("EngineLLM related error!")

    def get_graph_names(self) -> list[str]:
        names = (BMRT.bmrt_get_network_name(self._runtime, index) for index in range(self._count()))
        return [name.decode() for name in names]

    def get_input_num(self, graph_name: str) -> int:
        return int(self._info(graph_name).input_count)

    def get_output_num(self, graph_name: str) -> int:
        return int(self._info(graph_name).output_count)

    def get_input_name(self, graph_name: str, index: int) -> str:
        return str(_at(self._info(graph_name).input_names, index, self.get_input_num(graph_name)).decode())

    def get_output_name(self, graph_name: str, index: int) -> str:
        return str(_at(self._info(graph_name).output_names, index, self.get_output_num(graph_name)).decode())

    def get_input_dtype(self, graph_name: str, index: int) -> Dtype:
        return Dtype(_at(self._info(graph_name).input_dtypes, index, self.get_input_num(graph_name)))

    def get_output_dtype(self, graph_name: str, index: int) -> Dtype:
        return Dtype(_at(self._info(graph_name).output_dtypes, index, self.get_output_num(graph_name)))

    def get_input_shape(self, graph_name: str, index: int, stage: int = 0) -> list[int]:
        info = self._info(graph_name)
        shapes = _at(info.stages, stage, info.stage_count).input_shapes
        return list(_at(shapes, index, info.input_count).sizes())

    def get_output_shape(self, graph_name: str, index: int, stage: int = 0) -> list[int]:
        info = self._info(graph_name)
        shapes = _at(info.stages, stage, info.stage_count).output_shapes
        return list(_at(shapes, index, info.output_count).sizes())

    def process(self, graph_name: str, input: dict[int, Tensor], output: dict[int, Tensor]) -> None:  # noqa: A002
        info = self._info(graph_name)
        inputs = _structures(input, info.input_dtypes, info.input_count)
        outputs = _structures(output, info.output_dtypes, info.output_count)
        if not BMRT.bmrt_launch_tensor_ex(
            self._runtime, graph_name.encode(), inputs, len(inputs), outputs, len(outputs), True, True
        ):
            raise SailEngineError("Engine related error!")
        LIBRARY.bmlib.bm_thread_sync(self._handle.pointer)

    def _count(self) -> int:
        return int(BMRT.bmrt_get_network_number(self._runtime))

    def _info(self, graph_name: str) -> NetworkInfo:
        if graph_name not in self.get_graph_names():
            raise IndexError("map::at")
        info: NetworkInfo = BMRT.bmrt_get_network_info(self._runtime, graph_name.encode()).contents
        return info


def _at(array: Any, index: int, size: int) -> Any:
    if not 0 <= index < size:
        raise IndexError("vector::_M_range_check")
    return array[index]


def _structures(tensors: dict[int, Tensor], dtypes: Any, count: int) -> Any:
    """Whatever there is, in the types the network has."""
    structures = (Structure * count)()
    for index, structure in enumerate(structures):
        if index not in tensors:
            raise Crash(f"segmentation fault: tensor {index} is missing")
        structure.dtype = dtypes[index]
        structure.shape = Shape.of(tuple(tensors[index].shape))
        structure.memory = tensors[index].memory
    return structures


def _destroy(runtime: int, handle: Handle) -> None:
    del handle
    BMRT.bmrt_destroy(runtime)
