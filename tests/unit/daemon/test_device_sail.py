"""What can be known of sophon-sail without having it: whether it is missing or too old, and what it raises."""

from __future__ import annotations

import ctypes
import os
import sys
import weakref
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import wizardtpud.device.sail.device
import wizardtpud.device.sail.library
from wizardtpud.device.sail import SailLibrary, SailRuntime
from wizardtpud.device.sail.dtypes import carrier_of, dtype_of_sail, sail_of_dtype
from wizardtpud.device.telemetry import DeviceReading
from wizardtpud.errors import DeviceError

MIB = 2**20
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
    """A module for a chip with 100 MiB; that it has a libbmlib cannot be seen."""
    module: Any = ModuleType("sophon.sail")
    module.__version__ = "3.10.7"
    module.Dtype = Enum("Dtype", list(DTYPES))  # type: ignore[misc]  # its values mean nothing, as they should
    for name in ERRORS:
        setattr(module, name, type(name, (Exception,), {}))
    monkeypatch.setitem(sys.modules, "sophon", ModuleType("sophon"))
    monkeypatch.setitem(sys.modules, "sophon.sail", module)
    module.get_dev_stat = lambda _: [100, 0, 0]
    module.get_chip_temp = module.get_board_temp = lambda _: 50
    module.Handle, module.EngineLLM = Handle, EmptyEngine
    in_process(monkeypatch, bmlib=None)
    return module


@pytest.fixture
def bmodel(tmp_path: Path) -> Path:
    (tmp_path / "model.bmodel").touch()
    return tmp_path / "model.bmodel"


def in_process(monkeypatch: pytest.MonkeyPatch, bmlib: Any, *, simulates: bool = False) -> None:
    """Has the process a libbmlib, or the simulator, whatever other tests have brought into it."""
    monkeypatch.setattr(wizardtpud.device.sail.library, "find_bmlib", lambda: bmlib)
    monkeypatch.setattr(wizardtpud.device.sail.device, "simulates", lambda: simulates)


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


class Bmlib:
    """A libbmlib that counts its open devices; `fails` names functions that do."""

    def __init__(self, *fails: str) -> None:
        self.fails = fails
        self.opened: list[int] = []

    def bm_dev_getcount(self, count: Any) -> None:
        self._succeed("bm_dev_getcount")
        count.value = 2

    def bm_dev_request(self, handle: Any, index: int) -> None:
        self._succeed("bm_dev_request")
        handle.value = index + 1
        self.opened.append(index)

    def bm_dev_free(self, handle: Any) -> None:
        self.opened.remove(handle.value - 1)

    def bm_get_stat(self, handle: Any, stat: Any) -> None:
        assert handle.value - 1 in self.opened
        self._succeed("bm_get_stat")
        stat.memory_total, stat.memory_used = 300, 100

    def bm_get_status(self, handle: Any, status: Any) -> None:
        status.value = handle.value - 1  # device 1 has a fault

    def _succeed(self, name: str) -> None:
        if name in self.fails:
            raise DeviceError(f"{name}: it failed")


class TestLibbmlib:
    """What it tells of the devices that sail drives."""

    @pytest.mark.parametrize(("bmlib", "count"), [(None, 1), (Bmlib(), 2), (Bmlib("bm_dev_getcount"), 0)])
    @pytest.mark.usefixtures("sail")
    def test_how_many_there_are(self, monkeypatch: pytest.MonkeyPatch, bmlib: Any, count: int) -> None:
        in_process(monkeypatch, bmlib)
        assert SailLibrary.load().device_count == count

    @pytest.mark.parametrize("found", [OSError("it is not there"), ModuleType("another library of that name")])
    def test_where_it_is_not(self, monkeypatch: pytest.MonkeyPatch, found: Any) -> None:
        def load(name: str, mode: int) -> Any:
            assert (name, mode) == ("libbmlib.so.0", os.RTLD_NOLOAD)
            if isinstance(found, OSError):
                raise found
            return found

        monkeypatch.setattr(ctypes, "CDLL", load)
        assert wizardtpud.device.sail.library.find_bmlib() is None

    @pytest.mark.usefixtures("sail")
    def test_whether_they_have_a_fault(self, bmodel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        bmlib = Bmlib()
        in_process(monkeypatch, bmlib)
        with SailRuntime(bmodel, [0, 1]) as runtime:
            assert bmlib.opened == [0, 1]
            for telemetry in runtime.telemetry:
                telemetry.refresh()
            assert [telemetry.fault for telemetry in runtime.telemetry] == [False, True]
        assert bmlib.opened == []

    @pytest.mark.usefixtures("sail")
    def test_one_that_cannot_be_opened(self, bmodel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        in_process(monkeypatch, Bmlib("bm_dev_request"))
        with pytest.raises(DeviceError, match="bm_dev_request: it failed"):
            SailRuntime(bmodel)

    def test_what_is_open_is_closed_when_the_rest_fails(
        self, sail: Any, bmodel: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise sail.SailEngineError("EngineLLM related error!")

        bmlib, sail.EngineLLM = Bmlib(), refuse
        in_process(monkeypatch, bmlib)
        with pytest.raises(DeviceError, match=r"the runtime cannot load .*model\.bmodel"):
            SailRuntime(bmodel)
        assert bmlib.opened == []


class TestMemory:
    """Room for the model, seen before it is loaded: of 200 MiB by libbmlib, of 100 MiB by sail."""

    @pytest.mark.parametrize(
        ("bmlib", "free"),
        [(Bmlib(), 200), (None, 100), (Bmlib("bm_get_stat"), None)],
        ids=["bmlib", "sail", "none"],
    )
    def test_of_a_real_device(
        self, sail: Any, bmodel: Path, monkeypatch: pytest.MonkeyPatch, bmlib: Any, free: int | None
    ) -> None:
        in_process(monkeypatch, bmlib)
        SailRuntime(bmodel, device_bytes=(free or 10**6) * MIB).close()
        sail.EngineLLM = None  # for nothing is to be loaded
        if free is not None:
            with pytest.raises(DeviceError, match=r"device 0 is out of memory: model\.bmodel takes"):
                SailRuntime(bmodel, device_bytes=free * MIB + 1)

    def test_of_a_simulated_device(self, sail: Any, bmodel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CMODEL_GLOBAL_MEM_SIZE", "0x6000000")
        in_process(monkeypatch, Bmlib(), simulates=True)
        SailRuntime(bmodel, device_bytes=15 * MIB).close()
        sail.EngineLLM = None
        with pytest.raises(DeviceError, match=r"device 0 is out of memory: model\.bmodel takes"):
            SailRuntime(bmodel, device_bytes=15 * MIB + 1)

    @pytest.mark.usefixtures("sail")
    def test_a_simulated_device_tells_nothing(self, bmodel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        in_process(monkeypatch, Bmlib(), simulates=True)
        with SailRuntime(bmodel, [1]) as runtime:
            (telemetry,) = runtime.telemetry
            telemetry.refresh()
            assert telemetry.read() == DeviceReading(1)


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

    def test_one_for_the_model_does_not_keep_it_open(self, sail: Any, bmodel: Path) -> None:
        """Sail closes what nothing refers to any more; when the interpreter has gone it is too late."""
        engines: list[weakref.ref[EngineOfInt4]] = []

        def load(*_: object) -> EngineOfInt4:
            engine = EngineOfInt4()
            engines.append(weakref.ref(engine))
            return engine

        sail.EngineLLM = load
        with pytest.raises(DeviceError, match="tensors of BM_INT4 are not supported") as caught:
            SailRuntime(bmodel)
        assert [engine() for engine in engines] == [None], caught.traceback

    def test_no_device_memory(self, sail: Any, bmodel: Path) -> None:
        def refuse(*_: object) -> None:
            raise RuntimeError("no enough device memory")

        sail.Tensor = refuse
        with (
            SailRuntime(bmodel) as runtime,
            pytest.raises(DeviceError, match="cannot allocate 8 bytes of device memory: no enough"),
        ):
            runtime.allocate((2, 1), np.dtype(np.int32))


class Handle:
    def __init__(self, number: int) -> None:
        assert number in (0, 1)


class EmptyEngine:
    def __init__(self, bmodel_path: str, tpu_ids: list[int]) -> None:
        assert Path(bmodel_path).suffix == ".bmodel"
        assert set(tpu_ids) <= {0, 1}

    def get_graph_names(self) -> list[str]:
        return []


class EngineOfInt4:
    """With a network of one input, of an element type that is not supported."""

    def get_graph_names(self) -> list[str]:
        return ["network"]

    def get_input_num(self, network: str) -> int:
        return len([network])

    def get_input_name(self, network: str, index: int) -> str:
        return f"{network}_{index}"

    def get_input_shape(self, network: str, index: int, stage: int) -> list[int]:
        return [len(network), index + 1, stage + 1]

    def get_input_dtype(self, network: str, index: int) -> str:
        del network, index
        return "BM_INT4"


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
