"""What can be known of sophon-sail without having it: whether it is missing or too old, and what it raises."""

from __future__ import annotations

import ctypes
import sys
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import wizardtpud.device.sail.library
from wizardtpud.device.sail import SailLibrary, SailRuntime
from wizardtpud.device.sail.dtypes import carrier_of, dtype_of_sail, sail_of_dtype
from wizardtpud.errors import DeviceError

ERRORS = [
    "SailDeviceError",
    "SailTensorError",
    "SailEngineError",
    "SailUnknownError",
    "MemoryError",
    "DataTypeError",
    "NotSupport",
]
DTYPES = {
    "BM_FLOAT32": np.float32,
    "BM_FLOAT16": np.float16,
    "BM_BFLOAT16": ml_dtypes.bfloat16,
    "BM_INT8": np.int8,
    "BM_UINT8": np.uint8,
    "BM_INT16": np.int16,
    "BM_UINT16": np.uint16,
    "BM_INT32": np.int32,
    "BM_UINT32": np.uint32,
}


@pytest.fixture
def sail(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module with what is looked at before a device is opened."""
    module: Any = ModuleType("sophon.sail")
    module.__version__ = "3.10.7"
    module.Dtype = Enum("Dtype", list(DTYPES))  # type: ignore[misc]  # its values mean nothing, as they should
    for name in ERRORS:
        setattr(module, name, type(name, (Exception,), {}))
    monkeypatch.setitem(sys.modules, "sophon", ModuleType("sophon"))
    monkeypatch.setitem(sys.modules, "sophon.sail", module)
    monkeypatch.setattr(wizardtpud.device.sail.library, "count_devices", lambda: 1)
    return module


@pytest.fixture
def bmodel(tmp_path: Path) -> Path:
    (tmp_path / "model.bmodel").touch()
    return tmp_path / "model.bmodel"


def installed_as(monkeypatch: pytest.MonkeyPatch, **versions: str) -> None:
    """Has packages of these versions bring the module."""
    monkeypatch.setattr(
        wizardtpud.device.sail.library, "packages_distributions", lambda: {"sophon": list(versions)}
    )
    monkeypatch.setattr(wizardtpud.device.sail.library, "version_of_package", versions.__getitem__)


class TestLoading:
    @pytest.mark.parametrize("missing", ["sophon", "sophon.sail"])
    def test_it_is_not_installed(self, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
        monkeypatch.setitem(sys.modules, "sophon", ModuleType("sophon"))
        monkeypatch.delitem(sys.modules, "sophon.sail", raising=False)
        monkeypatch.setitem(sys.modules, missing, None)
        with pytest.raises(DeviceError, match=r"cannot import sophon.sail: .*; install sophon-sail >= 3\.9\.1"):
            SailLibrary.load()

    @pytest.mark.parametrize("version", ["3.9.1", "3.9.4", "3.10.0", "3.10.7", "4.0"])
    def test_it_is_new_enough(self, sail: Any, version: str) -> None:
        sail.__version__ = version
        assert SailLibrary.load().sail is sail

    @pytest.mark.parametrize("version", ["3.9.0", "3.8", "2.11.3"])
    def test_it_is_too_old(self, sail: Any, version: str) -> None:
        sail.__version__ = version
        with pytest.raises(
            DeviceError, match=rf"sophon-sail {version} is too old; install sophon-sail >= 3\.9\.1"
        ):
            SailLibrary.load()

    def test_a_build_that_tells_its_date_is_looked_up(self, sail: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        sail.__version__ = "master(20240726_113000)"
        installed_as(monkeypatch, sophon_arm="3.9.0")
        with pytest.raises(DeviceError, match=r"sophon-sail 3\.9\.0 is too old"):
            SailLibrary.load()

    @pytest.mark.parametrize("versions", [{}, {"sophon": "unknown"}])
    def test_a_version_that_cannot_be_told(
        self, sail: Any, monkeypatch: pytest.MonkeyPatch, versions: dict[str, str]
    ) -> None:
        sail.__version__ = "master(20251114_213701)"
        installed_as(monkeypatch, **versions)
        assert SailLibrary.load().sail is sail


def test_without_libbmlib_only_the_first_device_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert wizardtpud.device.sail.library.count_devices() == 1


class TestErrors:
    @pytest.mark.parametrize("name", ERRORS)
    def test_its_own_become_ours(self, sail: Any, name: str) -> None:
        with (
            pytest.raises(DeviceError, match=r"^cannot do it: no such thing$"),
            SailLibrary.load().translated("cannot do it"),
        ):
            raise getattr(sail, name)("no such thing")

    @pytest.mark.parametrize("kind", [RuntimeError, IndexError])
    @pytest.mark.usefixtures("sail")
    def test_those_of_python_that_it_raises_do_too(self, kind: type[Exception]) -> None:
        with (
            pytest.raises(DeviceError, match=r"^cannot do it: map::at$"),
            SailLibrary.load().translated("cannot do it"),
        ):
            raise kind("map::at")

    @pytest.mark.parametrize("kind", [TypeError, KeyboardInterrupt])
    @pytest.mark.usefixtures("sail")
    def test_others_are_not_the_device_s(self, kind: type[BaseException]) -> None:
        with pytest.raises(kind), SailLibrary.load().translated("cannot do it"):
            raise kind

    def test_a_device_that_cannot_be_opened(self, sail: Any, bmodel: Path) -> None:
        def refuse(number: int) -> None:
            raise sail.SailDeviceError("init device failure")

        sail.Handle = refuse
        with pytest.raises(DeviceError, match="cannot open device 0: init device failure"):
            SailRuntime(bmodel)

    def test_no_device_memory_for_the_model(
        self, sail: Any, bmodel: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CMODEL_GLOBAL_MEM_SIZE", "0x6000000")
        sail.Handle = sail.EngineLLM = None  # for nothing is to be opened
        with pytest.raises(DeviceError, match=r"device 0 is out of memory: model\.bmodel takes"):
            SailRuntime(bmodel, device_bytes=0x6000000)

    def test_no_device_memory(self, sail: Any, bmodel: Path) -> None:
        def refuse(*_: object) -> None:
            raise RuntimeError("no enough device memory")

        sail.Handle, sail.EngineLLM, sail.Tensor = Handle, EmptyEngine, refuse
        with (
            SailRuntime(bmodel) as runtime,
            pytest.raises(DeviceError, match="cannot allocate 8 bytes of device memory: no enough"),
        ):
            runtime.allocate((2, 1), np.dtype(np.int32))


class Handle:
    def __init__(self, number: int) -> None:
        assert number == 0


class EmptyEngine:
    def __init__(self, bmodel_path: str, tpu_ids: list[int]) -> None:
        assert (Path(bmodel_path).suffix, tpu_ids) == (".bmodel", [0])

    def get_graph_names(self) -> list[str]:
        return []


class TestElementTypes:
    @pytest.mark.parametrize("name", DTYPES)
    def test_there_and_back(self, sail: Any, name: str) -> None:
        dtype = np.dtype(DTYPES[name])
        assert dtype_of_sail(sail, sail.Dtype[name]) == dtype
        assert sail_of_dtype(sail, dtype) is sail.Dtype[name]

    def test_one_without_a_counterpart(self, sail: Any) -> None:
        with pytest.raises(DeviceError, match="tensors of BM_INT4 are not supported"):
            dtype_of_sail(sail, "BM_INT4")

    def test_halves_are_carried_as_whole_numbers(self) -> None:
        carriers = {name: carrier_of(np.dtype(dtype)) for name, dtype in DTYPES.items()}
        changed = {name for name, dtype in DTYPES.items() if carriers[name] != dtype}
        assert changed == {"BM_FLOAT16", "BM_BFLOAT16"}
        assert {carriers[name] for name in changed} == {np.dtype(np.uint16)}
