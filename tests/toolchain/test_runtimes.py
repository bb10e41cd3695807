"""What holds for every runtime of a TPU: libbmrt on the vendor's simulator, and sail by its stand-in there.

It is tried with a network that doubles what it is given.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray
from wizardtpu_compile.toolchain.toolchain import Toolchain
from wizardtpud.device.bmrt import BmrtLibrary, BmrtRuntime
from wizardtpud.device.host_buffer import HostBuffer
from wizardtpud.device.runtime import Buffer, Network, Runtime, TensorSpec
from wizardtpud.device.sail import SailLibrary, SailRuntime
from wizardtpud.errors import DeviceError

from tests.support.doubling_network import (
    FEWER,
    NAME,
    PAST,
    ROWS,
    WIDTH,
    compile_doubling_network,
    compile_two_stages,
)
from tests.support.sail import standin_environment

Load = Callable[..., Runtime]
"""Takes a bmodel and, if need be, numbers of devices."""

Run = Callable[..., subprocess.CompletedProcess[str]]
"""Takes a program and, if need be, environment variables."""

FLOATS = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "f32": np.float32}
NEW, FEW, OLD = (1, ROWS, 1, WIDTH), (1, FEWER, 1, WIDTH), (1, PAST, 1, WIDTH)
HALF, INT = np.dtype(np.float16), np.dtype(np.int32)
DTYPES = ["float32", "float16", "bfloat16", "int8", "uint8", "int16", "uint16", "int32", "uint32"]


@pytest.fixture(scope="module", params=["bmrt", "sail"])
def implementation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def load(implementation: str, bmrt_library: BmrtLibrary, sail_library: SailLibrary) -> Load:
    def with_bmrt(model: Path, devices: Sequence[int] = (0,)) -> Runtime:
        return BmrtRuntime(model, bmrt_library, devices)

    def with_sail(model: Path, devices: Sequence[int] = (0,)) -> Runtime:
        return SailRuntime(model, devices, sail_library)

    return with_bmrt if implementation == "bmrt" else with_sail


@pytest.fixture(scope="module")
def model(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network in float16."""
    return compile_doubling_network(toolchain, tmp_path_factory.mktemp("model"), "f16")


@pytest.fixture
def runtime(model: Path, load: Load) -> Iterator[Runtime]:
    with load(model) as runtime:
        yield runtime


def counted(shape: tuple[int, ...], start: int, dtype: np.dtype[Any] = HALF) -> NDArray[Any]:
    """Whole numbers below 128 from `start` on: exact, also twice as large, in every float type."""
    return (np.arange(start, start + prod(shape)) % 128).reshape(shape).astype(dtype)


def holding(runtime: Runtime, array: NDArray[Any]) -> Buffer:
    buffer = runtime.allocate(array.shape, array.dtype)
    buffer.write(array)
    return buffer


@pytest.mark.parametrize("element", FLOATS)
def test_a_network_of_each_element_type(tmp_path: Path, toolchain: Toolchain, load: Load, element: str) -> None:
    dtype = np.dtype(FLOATS[element])
    with load(compile_doubling_network(toolchain, tmp_path, element)) as runtime:
        assert runtime.networks == {
            NAME: Network(
                NAME,
                (TensorSpec("rows", NEW, dtype), TensorSpec("history", OLD, dtype)),
                (TensorSpec("new_rows", NEW, dtype), TensorSpec("seen", OLD, dtype)),
            )
        }
        rows, history = counted(NEW, 0, dtype), counted(OLD, 7, dtype)
        outputs = [runtime.allocate(NEW, dtype), runtime.allocate(OLD, dtype)]
        runtime.bind(NAME, [holding(runtime, rows), holding(runtime, history)], outputs).run()
        np.testing.assert_array_equal(outputs[0].read(), rows + rows)
        np.testing.assert_array_equal(outputs[1].read(), history + history)


def test_rows_are_written_in_place_beside_rows_that_stay(runtime: Runtime) -> None:
    """The history is input and, from a moving row on, output of the same launch."""
    rows, kept = counted(NEW, 0), counted(OLD, 3)
    source, cache, seen = holding(runtime, rows), holding(runtime, kept), runtime.allocate(OLD, HALF)
    launch = runtime.bind(NAME, [source, cache], [cache, seen])
    for start in (0, 5, PAST - ROWS, 0):
        cache.write(kept)
        launch.place_output(0, start * WIDTH)
        launch.run()
        written = slice(start, start + ROWS)
        expected = kept.copy()
        expected[:, written] = rows + rows
        np.testing.assert_array_equal(cache.read(), expected)
        read = np.delete(seen.read(), written, axis=1)
        np.testing.assert_array_equal(read, np.delete(kept + kept, written, axis=1))


def test_a_slot_of_a_larger_cache(runtime: Runtime) -> None:
    """Views are inputs and outputs like whole buffers, and outputs move within them."""
    whole = counted((3, *OLD[1:]), 1)
    slots, rows = holding(runtime, whole), counted(NEW, 50)
    slot = slots.view(OLD, offset=PAST * WIDTH)
    launch = runtime.bind(NAME, [holding(runtime, rows), slot], [slot, runtime.allocate(OLD, HALF)])
    launch.place_output(0, 2 * WIDTH)
    launch.run()
    whole[1, 2 : 2 + ROWS] = rows[0] + rows[0]
    np.testing.assert_array_equal(slots.read(), whole)


def test_a_network_of_two_stages(tmp_path: Path, toolchain: Toolchain, load: Load) -> None:
    with load(compile_two_stages(toolchain, tmp_path)) as runtime:
        stages = runtime.networks[NAME].stages
        assert [[spec.shape for spec in stage.inputs] for stage in stages] == [[NEW, OLD], [FEW, OLD]]
        assert [[spec.shape for spec in stage.outputs] for stage in stages] == [[NEW, OLD], [FEW, OLD]]
        for stage, shape in enumerate((NEW, FEW)):
            rows, doubled = counted(shape, stage), runtime.allocate(shape, HALF)
            history, seen = runtime.allocate(OLD, HALF), runtime.allocate(OLD, HALF)
            runtime.bind(NAME, [holding(runtime, rows), history], [doubled, seen], stage).run()
            np.testing.assert_array_equal(doubled.read(), rows + rows)


def test_a_launch_that_fails(runtime: Runtime) -> None:
    """It is bound by what is said of the network: here of more rows than it was compiled for."""
    network = runtime.networks[NAME]
    runtime.networks = {NAME: replace(network, inputs=(replace(network.inputs[0], shape=OLD), network.inputs[1]))}
    launch = runtime.bind(NAME, [runtime.allocate(OLD, HALF)] * 2, [runtime.allocate(OLD, HALF)] * 2)
    with pytest.raises(DeviceError, match="double: the launch failed"):
        launch.run()


class TestBuffers:
    def test_they_are_zero_at_first(self, runtime: Runtime) -> None:
        holding(runtime, counted((1000,), 1))
        assert not runtime.allocate((10, 100), np.dtype(np.int32)).read().any()

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_of_each_element_type(self, runtime: Runtime, dtype: str) -> None:
        array = counted((2, 3), 1, np.dtype(dtype))
        found = holding(runtime, array).read()
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)

    def test_what_was_read_is_a_copy(self, runtime: Runtime) -> None:
        buffer = holding(runtime, counted((4,), 1))
        before = buffer.read()
        before += 1
        np.testing.assert_array_equal(buffer.read(), counted((4,), 1))

    def test_a_view_shares_memory(self, runtime: Runtime) -> None:
        buffer = holding(runtime, np.arange(12, dtype=np.int32).reshape(3, 4))
        part = buffer.view((2, 2), offset=5)
        np.testing.assert_array_equal(part.read(), [[5, 6], [7, 8]])
        part.view((1,), offset=3).write(np.array([-1], np.int32))
        np.testing.assert_array_equal(buffer.read().reshape(-1), [0, 1, 2, 3, 4, 5, 6, 7, -1, 9, 10, 11])

    @pytest.mark.parametrize(("shape", "offset"), [((13,), 0), ((1,), 12), ((2, 3), 7), ((1,), -1)])
    def test_a_view_must_lie_within(self, runtime: Runtime, shape: tuple[int, ...], offset: int) -> None:
        with pytest.raises(DeviceError, match="outside a buffer of 12"):
            runtime.allocate((3, 4), HALF).view(shape, offset)

    def test_a_view_of_a_view_must_lie_within_that(self, runtime: Runtime) -> None:
        with pytest.raises(DeviceError, match="elements 1 to 3 is outside a buffer of 2"):
            runtime.allocate((3, 4), HALF).view((2,), 4).view((2,), 1)

    def test_a_view_keeps_the_memory(self, runtime: Runtime) -> None:
        part = holding(runtime, counted((3, 4), 1)).view((2, 4), 4).view((4,), 4)
        gc.collect()
        holding(runtime, np.full((3, 4), -1, HALF))
        np.testing.assert_array_equal(part.read(), counted((4,), 9))

    @pytest.mark.parametrize(
        "array", [np.zeros((2, 3), np.float16), np.zeros((3, 2), np.float32), np.zeros((3, 2), np.int16)]
    )
    def test_only_its_own_shape_and_type_is_written(self, runtime: Runtime, array: NDArray[Any]) -> None:
        with pytest.raises(DeviceError, match=r"cannot write .* to a buffer of float16\(3, 2\)"):
            runtime.allocate((3, 2), HALF).write(array)

    def test_an_array_with_gaps_is_written(self, runtime: Runtime) -> None:
        array = counted((6, 4), 0)[::2, 1:3]
        np.testing.assert_array_equal(holding(runtime, array).read(), array)

    @pytest.mark.parametrize("count", [0, 2**31])
    def test_what_the_runtime_cannot_count(self, runtime: Runtime, count: int) -> None:
        with pytest.raises(DeviceError, match=r"one tensor takes 1 to \d+ bytes"):
            runtime.allocate((count,), HALF)


class TestCopies:
    def test_a_part_to_a_part(self, runtime: Runtime) -> None:
        source, target = holding(runtime, counted((3, 4), 1)), runtime.allocate((10,), HALF)
        target.view((2, 2), 5).copy_from(source.view((4,), 6))
        np.testing.assert_array_equal(target.read(), [0, 0, 0, 0, 0, 7, 8, 9, 10, 0])

    def test_what_was_launched_before_is_copied(self, runtime: Runtime) -> None:
        rows, copy = counted(NEW, 1), runtime.allocate(NEW, HALF)
        doubled, old = runtime.allocate(NEW, HALF), runtime.allocate(OLD, HALF)
        runtime.bind(NAME, [holding(runtime, rows), old], [doubled, runtime.allocate(OLD, HALF)]).run()
        copy.copy_from(doubled)
        np.testing.assert_array_equal(copy.read(), rows + rows)

    @pytest.mark.parametrize("kind", ["dtype", "size", "device"])
    def test_what_does_not_fit(self, runtime: Runtime, kind: str) -> None:
        source = {
            "dtype": runtime.allocate((2, 3), np.dtype(np.int16)),
            "size": runtime.allocate((7,), HALF),
            "device": HostBuffer.zeros((2, 3), HALF),
        }[kind]
        with pytest.raises(DeviceError, match=r"cannot copy .* to a buffer of float16\(3, 2\)"):
            runtime.allocate((3, 2), HALF).copy_from(source)


class TestPackedTensors:
    TENSORS: Sequence[tuple[tuple[int, ...], np.dtype[Any]]] = [((1, 1), INT), ((3,), HALF), ((1, 5), INT)]

    def test_they_are_zero_at_first(self, runtime: Runtime) -> None:
        packed = runtime.pack(self.TENSORS)
        for shown in (packed.arrays, tuple(buffer.read() for buffer in packed.buffers)):
            assert [(array.shape, array.dtype) for array in shown] == self.TENSORS
            assert not any(array.any() for array in shown)

    def test_they_are_written_together(self, runtime: Runtime) -> None:
        packed = runtime.pack(self.TENSORS)
        for start in (1, 7):
            for array in packed.arrays:
                array[:] = counted(array.shape, start, array.dtype)
            packed.write()
            for buffer in packed.buffers:
                np.testing.assert_array_equal(buffer.read(), counted(buffer.shape, start, buffer.dtype))

    def test_a_network_takes_them(self, runtime: Runtime) -> None:
        packed, outputs = runtime.pack([(NEW, HALF), (OLD, HALF)]), runtime.pack([(NEW, HALF), (OLD, HALF)])
        packed.arrays[1][:] = counted(OLD, 1)
        packed.write()
        runtime.bind(NAME, packed.buffers, outputs.buffers).run()
        np.testing.assert_array_equal(outputs.buffers[1].read(), 2 * counted(OLD, 1))


class TestBinding:
    def test_no_such_network(self, runtime: Runtime) -> None:
        with pytest.raises(DeviceError, match="no network 'x' is loaded; there are double"):
            runtime.bind("x", [], [])

    def test_too_few_tensors(self, runtime: Runtime) -> None:
        with pytest.raises(DeviceError, match=r"double takes 2 tensors \(rows, history\)"):
            runtime.bind(NAME, [runtime.allocate(NEW, HALF)], [])

    @pytest.mark.parametrize("place", range(4))
    @pytest.mark.parametrize("kind", ["dtype", "size", "device"])
    def test_a_buffer_that_does_not_fit(self, runtime: Runtime, place: int, kind: str) -> None:
        buffers = [runtime.allocate(shape, HALF) for shape in (NEW, OLD, NEW, OLD)]
        shape = buffers[place].shape
        if kind == "dtype":
            buffers[place] = runtime.allocate(shape, np.dtype(np.int16))
        elif kind == "size":
            buffers[place] = buffers[place].view((prod(shape) - 1,))
        else:
            buffers[place] = HostBuffer.zeros(shape, HALF)
        name = ["rows", "history", "new_rows", "seen"][place]
        with pytest.raises(DeviceError, match=rf"{NAME}: {name} is float16.* does not fit"):
            runtime.bind(NAME, buffers[:2], buffers[2:])

    def test_an_input_must_not_be_larger(self, runtime: Runtime) -> None:
        old = runtime.allocate(OLD, HALF)
        with pytest.raises(DeviceError, match=r"rows is .* does not fit"):
            runtime.bind(NAME, [old, old], [old, old])

    @pytest.mark.parametrize("offset", [-1, (PAST - ROWS) * WIDTH + 1])
    def test_an_output_outside_its_buffer(self, runtime: Runtime, offset: int) -> None:
        rows, old = runtime.allocate(NEW, HALF), runtime.allocate(OLD, HALF)
        launch = runtime.bind(NAME, [rows, old], [old, old])
        with pytest.raises(DeviceError, match=f"element {offset} is outside its buffer"):
            launch.place_output(0, offset)


class TestLoading:
    @pytest.mark.parametrize("size", [0, 30, 5000, -1])
    def test_a_truncated_bmodel(self, tmp_path: Path, load: Load, model: Path, size: int) -> None:
        damaged = tmp_path / "model"
        damaged.write_bytes(model.read_bytes()[:size])
        with pytest.raises(DeviceError, match=f"cannot load {damaged}: it is no bmodel"):
            load(damaged)

    def test_garbage(self, tmp_path: Path, load: Load) -> None:
        garbage = tmp_path / "model"
        garbage.write_bytes(np.random.default_rng(0).bytes(100_000))
        with pytest.raises(DeviceError, match="it is no bmodel for this device, or is damaged"):
            load(garbage)

    def test_no_file(self, tmp_path: Path, load: Load) -> None:
        with pytest.raises(DeviceError, match="there is no file"):
            load(tmp_path)

    @pytest.mark.parametrize("devices", [(1,), (-1,), (0, 1)])
    def test_no_device(self, model: Path, load: Load, devices: tuple[int, ...]) -> None:
        with pytest.raises(DeviceError, match=r"there is no device -?1; this machine has 1, counted from 0"):
            load(model, devices)

    def test_no_device_at_all(self, model: Path, load: Load) -> None:
        with pytest.raises(DeviceError, match="no device is named"):
            load(model, ())


def doubles(runtime: Runtime) -> bool:
    rows, doubled = counted(NEW, 9), runtime.allocate(NEW, HALF)
    inputs = [holding(runtime, rows), runtime.allocate(OLD, HALF)]
    runtime.bind(NAME, inputs, [doubled, runtime.allocate(OLD, HALF)]).run()
    return np.array_equal(doubled.read(), rows + rows)


class TestClosing:
    def test_again_does_nothing(self, runtime: Runtime) -> None:
        runtime.allocate(NEW, HALF)
        runtime.close()
        runtime.close()
        assert not runtime.networks

    def test_what_is_closed_is_not_used(self, runtime: Runtime) -> None:
        rows, old = runtime.allocate(NEW, HALF), runtime.allocate(OLD, HALF)
        launch = runtime.bind(NAME, [rows, old], [rows, old])
        runtime.close()
        for use in (launch.run, rows.read, lambda: runtime.allocate(NEW, HALF)):
            with pytest.raises(DeviceError, match="the device is closed"):
                use()

    def test_two_runtimes_at_once(self, model: Path, load: Load, runtime: Runtime) -> None:
        with load(model) as other:
            assert doubles(runtime)
            assert doubles(other)
        assert doubles(runtime)

    def test_buffers_are_good_as_long_as_they_are_referred_to(self, model: Path, load: Load) -> None:
        buffer = holding(load(model), counted(NEW, 1))
        gc.collect()
        np.testing.assert_array_equal(buffer.read(), counted(NEW, 1))


BEGINNINGS = {
    "bmrt": "from wizardtpud.device.bmrt import BmrtLibrary, BmrtRuntime\n"
    "runtime = BmrtRuntime(Path(sys.argv[2]), BmrtLibrary.load(Path(sys.argv[1])))\n",
    "sail": "from wizardtpud.device.sail import SailRuntime\nruntime = SailRuntime(Path(sys.argv[2]))\n",
}
PROGRAM = """
specs = [s for n in runtime.networks.values() for s in (*n.inputs, *n.outputs)]
buffers = [runtime.allocate(s.shape, s.dtype) for s in specs]
launch = runtime.bind("double", buffers[:2], buffers[2:])
launch.run()
"""
KEPT = "import ctypes\nctypes.pythonapi.Py_IncRef(ctypes.py_object((runtime, buffers, launch)))"
"""Something refers to all of it when the interpreter is gone."""

CLOSED = "cmodel_deinit complete"
"""What the simulator says when all that was opened has been closed."""

REFUSED = """
import ctypes
import sys
from pathlib import Path
from wizardtpud.errors import DeviceError
sys.modules["ml_dtypes"] = None
try:
    BEGINNING
except DeviceError as error:
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(error))
    sys.exit(str(error))
"""
"""The error, and with it what its traceback refers to, is still there when the interpreter is gone."""


def in_process(
    program: str, toolchain: Toolchain, model: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs a program that is given the simulator and the model."""
    return subprocess.run(
        [sys.executable, "-c", program, str(toolchain.simulator), str(model)],
        env=os.environ | standin_environment(toolchain.simulator) | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


class TestProcesses:
    @pytest.fixture
    def run(self, implementation: str, toolchain: Toolchain, model: Path) -> Run:
        """Runs a program in a process that has loaded the model, with environment variables."""

        def run(program: str, **variables: str) -> subprocess.CompletedProcess[str]:
            code = "import sys\nfrom pathlib import Path\n" + BEGINNINGS[implementation] + program
            return in_process(code, toolchain, model, **variables)

        return run

    def test_one_computes_as_before(self, run: Run) -> None:
        """The vendor's libraries would turn the smallest numbers into zero, in all of the process."""
        process = run("smallest = 5e-324\nruntime.close()\nassert smallest * 1.0 > 0, 'gone'\n")
        assert (process.returncode, process.stderr) == (0, "")

    @pytest.mark.parametrize(
        ("ending", "code"),
        [("", 0), ("sys.exit(3)", 3), ("raise KeyError", 1), ("del runtime, buffers, launch", 0), (KEPT, 0)],
    )
    def test_one_that_forgets_to_close_ends_well(self, run: Run, ending: str, code: int) -> None:
        process = run(PROGRAM + ending)
        assert process.returncode == code, process.stdout + process.stderr
        assert "ASSERT" not in process.stdout
        assert CLOSED in process.stdout

    def test_one_whose_model_is_refused_when_it_is_loaded_ends_well(
        self, implementation: str, toolchain: Toolchain, tmp_path: Path
    ) -> None:
        model = compile_doubling_network(toolchain, tmp_path, "bf16")
        program = REFUSED.replace("BEGINNING", BEGINNINGS[implementation].strip().replace("\n", "\n    "))
        process = in_process(program, toolchain, model)
        expected = "a bfloat16 network needs ml_dtypes: pip install 'wizardtpud[tpu]'\n"
        assert (process.returncode, process.stderr) == (1, expected)
        assert CLOSED in process.stdout

    def test_one_that_asks_for_too_much_goes_on(self, run: Run) -> None:
        """The simulator would end it."""
        program = (
            "import numpy as np\n"
            "from wizardtpud.errors import DeviceError\n"
            "try:\n"
            "    runtime.allocate((2**27,), np.dtype(np.int32))\n"
            "except DeviceError as error:\n"
            "    sys.exit(str(error))\n"
        )
        process = run(program, CMODEL_GLOBAL_MEM_SIZE="0x10000000")
        assert process.stderr.startswith("device 0 is out of memory: a tensor takes 536.9 MB"), process.stdout
        assert process.returncode == 1
