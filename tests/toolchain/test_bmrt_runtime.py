"""The vendor's runtime on its simulator, with a network that doubles what it is given."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray
from wizardtpud.device.bmrt import BmrtLibrary, BmrtRuntime
from wizardtpud.device.host_buffer import HostBuffer
from wizardtpud.device.runtime import Buffer, Network, TensorSpec
from wizardtpud.errors import DeviceError

from tests.support.doubling_network import NAME, PAST, ROWS, WIDTH, compile_doubling_network
from tests.support.toolchain import require_toolchain

ELEMENTS = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "f32": np.float32}
NEW, OLD = (1, ROWS, 1, WIDTH), (1, PAST, 1, WIDTH)
HALF = np.dtype(np.float16)


@pytest.fixture(scope="module")
def library() -> BmrtLibrary:
    return BmrtLibrary.load(require_toolchain().simulator)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network in float16."""
    return compile_doubling_network(require_toolchain(), tmp_path_factory.mktemp("model"), "f16")


@pytest.fixture
def runtime(model: Path, library: BmrtLibrary) -> Iterator[BmrtRuntime]:
    with BmrtRuntime(model, library) as runtime:
        yield runtime


def counted(shape: tuple[int, ...], start: int, dtype: np.dtype[Any] = HALF) -> NDArray[Any]:
    """Whole numbers below 128 from `start` on: exact, also twice as large, in every float type."""
    return (np.arange(start, start + prod(shape)) % 128).reshape(shape).astype(dtype)


def holding(runtime: BmrtRuntime, array: NDArray[Any]) -> Buffer:
    buffer = runtime.allocate(array.shape, array.dtype)
    buffer.write(array)
    return buffer


def test_the_library_is_a_simulator_s(library: BmrtLibrary) -> None:
    assert library.simulated


def test_the_process_computes_as_before(model: Path) -> None:
    """The vendor's libraries would turn the smallest numbers into zero, in all of the process."""
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from wizardtpud.device.bmrt import BmrtLibrary, BmrtRuntime\n"
        "smallest = 5e-324\n"
        "with BmrtRuntime(Path(sys.argv[1]), BmrtLibrary.load(Path(sys.argv[2]))) as runtime:\n"
        "    buffers = [runtime.allocate(s.shape, s.dtype) for n in runtime.networks.values() for s in n.inputs]\n"
        "assert smallest * 1.0 > 0, 'gone'\n"
    )
    simulator = require_toolchain().simulator
    command = [sys.executable, "-c", program, str(model), str(simulator)]
    assert subprocess.run(command, capture_output=True, check=False, timeout=60).stderr == b""


@pytest.mark.parametrize("element", ELEMENTS)
def test_a_network_of_each_element_type(tmp_path: Path, library: BmrtLibrary, element: str) -> None:
    dtype = np.dtype(ELEMENTS[element])
    with BmrtRuntime(compile_doubling_network(require_toolchain(), tmp_path, element), library) as runtime:
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


def test_rows_are_written_in_place_beside_rows_that_stay(runtime: BmrtRuntime) -> None:
    """The history is input and, from a moving row on, output of the same launch."""
    rows, kept = counted(NEW, 0), counted(OLD, 3)
    source, cache, seen = holding(runtime, rows), holding(runtime, kept), runtime.allocate(OLD, HALF)
    launch = runtime.bind(NAME, [source, cache], [cache, seen])
    for start in (0, 5, PAST - ROWS):
        cache.write(kept)
        launch.place_output(0, start * WIDTH)
        launch.run()
        written = slice(start, start + ROWS)
        expected = kept.copy()
        expected[:, written] = rows + rows
        np.testing.assert_array_equal(cache.read(), expected)
        read = np.delete(seen.read(), written, axis=1)
        np.testing.assert_array_equal(read, np.delete(kept + kept, written, axis=1))


def test_a_slot_of_a_larger_cache(runtime: BmrtRuntime) -> None:
    """Views are inputs and outputs like whole buffers, and outputs move within them."""
    whole = counted((3, *OLD[1:]), 1)
    slots, rows = holding(runtime, whole), counted(NEW, 50)
    slot = slots.view(OLD, offset=PAST * WIDTH)
    launch = runtime.bind(NAME, [holding(runtime, rows), slot], [slot, runtime.allocate(OLD, HALF)])
    launch.place_output(0, 2 * WIDTH)
    launch.run()
    whole[1, 2 : 2 + ROWS] = rows[0] + rows[0]
    np.testing.assert_array_equal(slots.read(), whole)


class TestBuffers:
    def test_they_are_zero_at_first(self, runtime: BmrtRuntime) -> None:
        holding(runtime, counted((1000,), 1))
        assert not runtime.allocate((10, 100), np.dtype(np.int32)).read().any()

    def test_a_view_shares_memory(self, runtime: BmrtRuntime) -> None:
        buffer = holding(runtime, np.arange(12, dtype=np.int32).reshape(3, 4))
        part = buffer.view((2, 2), offset=5)
        np.testing.assert_array_equal(part.read(), [[5, 6], [7, 8]])
        part.view((1,), offset=3).write(np.array([-1], np.int32))
        np.testing.assert_array_equal(buffer.read().reshape(-1), [0, 1, 2, 3, 4, 5, 6, 7, -1, 9, 10, 11])

    @pytest.mark.parametrize(("shape", "offset"), [((13,), 0), ((1,), 12), ((2, 3), 7), ((1,), -1)])
    def test_a_view_must_lie_within(self, runtime: BmrtRuntime, shape: tuple[int, ...], offset: int) -> None:
        with pytest.raises(DeviceError, match="outside a buffer of 12"):
            runtime.allocate((3, 4), HALF).view(shape, offset)

    def test_a_view_of_a_view_must_lie_within_that(self, runtime: BmrtRuntime) -> None:
        with pytest.raises(DeviceError, match="elements 1 to 3 is outside a buffer of 2"):
            runtime.allocate((3, 4), HALF).view((2,), 4).view((2,), 1)

    @pytest.mark.parametrize(
        "array", [np.zeros((2, 3), np.float16), np.zeros((3, 2), np.float32), np.zeros((3, 2), np.int16)]
    )
    def test_only_its_own_shape_and_type_is_written(self, runtime: BmrtRuntime, array: NDArray[Any]) -> None:
        with pytest.raises(DeviceError, match=r"cannot write .* to a buffer of float16\(3, 2\)"):
            runtime.allocate((3, 2), HALF).write(array)

    def test_an_array_with_gaps_is_written(self, runtime: BmrtRuntime) -> None:
        array = counted((6, 4), 0)[::2, 1:3]
        np.testing.assert_array_equal(holding(runtime, array).read(), array)

    @pytest.mark.parametrize("count", [0, 2**31])
    def test_what_the_runtime_cannot_count(self, runtime: BmrtRuntime, count: int) -> None:
        with pytest.raises(DeviceError, match="one tensor takes 1 to 4294967295 bytes"):
            runtime.allocate((count,), HALF)


class TestBinding:
    def test_no_such_network(self, runtime: BmrtRuntime) -> None:
        with pytest.raises(DeviceError, match="no network 'x' is loaded; there are double"):
            runtime.bind("x", [], [])

    def test_too_few_tensors(self, runtime: BmrtRuntime) -> None:
        with pytest.raises(DeviceError, match=r"double takes 2 tensors \(rows, history\)"):
            runtime.bind(NAME, [runtime.allocate(NEW, HALF)], [])

    @pytest.mark.parametrize("place", range(4))
    @pytest.mark.parametrize("kind", ["dtype", "size", "device"])
    def test_a_buffer_that_does_not_fit(self, runtime: BmrtRuntime, place: int, kind: str) -> None:
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

    def test_an_input_must_not_be_larger(self, runtime: BmrtRuntime) -> None:
        old = runtime.allocate(OLD, HALF)
        with pytest.raises(DeviceError, match=r"rows is .* does not fit"):
            runtime.bind(NAME, [old, old], [old, old])

    @pytest.mark.parametrize("offset", [-1, (PAST - ROWS) * WIDTH + 1])
    def test_an_output_outside_its_buffer(self, runtime: BmrtRuntime, offset: int) -> None:
        rows, old = runtime.allocate(NEW, HALF), runtime.allocate(OLD, HALF)
        launch = runtime.bind(NAME, [rows, old], [old, old])
        with pytest.raises(DeviceError, match=f"element {offset} is outside its buffer"):
            launch.place_output(0, offset)


class TestLoading:
    @pytest.mark.parametrize("size", [0, 30, 5000, -1])
    def test_a_truncated_bmodel(self, tmp_path: Path, library: BmrtLibrary, model: Path, size: int) -> None:
        damaged = tmp_path / "model"
        damaged.write_bytes(model.read_bytes()[:size])
        with pytest.raises(DeviceError, match=f"cannot load {damaged}: it is no bmodel"):
            BmrtRuntime(damaged, library)

    def test_garbage(self, tmp_path: Path, library: BmrtLibrary) -> None:
        garbage = tmp_path / "model"
        garbage.write_bytes(np.random.default_rng(0).bytes(100_000))
        with pytest.raises(DeviceError, match="it is no bmodel for this device, or is damaged"):
            BmrtRuntime(garbage, library)

    def test_no_file(self, tmp_path: Path, library: BmrtLibrary) -> None:
        with pytest.raises(DeviceError, match="there is no file"):
            BmrtRuntime(tmp_path, library)

    @pytest.mark.parametrize("devices", [(1,), (-1,), (0, 1)])
    def test_no_device(self, model: Path, library: BmrtLibrary, devices: tuple[int, ...]) -> None:
        with pytest.raises(DeviceError, match=r"there is no device -?1; this machine has 1, counted from 0"):
            BmrtRuntime(model, library, devices)

    def test_no_device_at_all(self, model: Path, library: BmrtLibrary) -> None:
        with pytest.raises(DeviceError, match="no device is named"):
            BmrtRuntime(model, library, ())

    def test_networks_may_share_memory(self, model: Path, library: BmrtLibrary) -> None:
        with BmrtRuntime(model, library, shared_memory=True) as runtime:
            assert doubles(runtime)


def doubles(runtime: BmrtRuntime) -> bool:
    rows, doubled = counted(NEW, 9), runtime.allocate(NEW, HALF)
    inputs = [holding(runtime, rows), runtime.allocate(OLD, HALF)]
    runtime.bind(NAME, inputs, [doubled, runtime.allocate(OLD, HALF)]).run()
    return np.array_equal(doubled.read(), rows + rows)


class TestClosing:
    def test_again_does_nothing(self, runtime: BmrtRuntime) -> None:
        runtime.allocate(NEW, HALF)
        runtime.close()
        runtime.close()
        assert not runtime.networks

    def test_what_is_closed_is_not_used(self, runtime: BmrtRuntime) -> None:
        rows, old = runtime.allocate(NEW, HALF), runtime.allocate(OLD, HALF)
        launch = runtime.bind(NAME, [rows, old], [rows, old])
        runtime.close()
        for use in (launch.run, rows.read, lambda: runtime.allocate(NEW, HALF)):
            with pytest.raises(DeviceError, match="the device is closed"):
                use()

    def test_two_runtimes_at_once(self, model: Path, library: BmrtLibrary, runtime: BmrtRuntime) -> None:
        with BmrtRuntime(model, library) as other:
            assert doubles(runtime)
            assert doubles(other)
        assert doubles(runtime)

    def test_buffers_are_good_as_long_as_they_are_referred_to(self, model: Path, library: BmrtLibrary) -> None:
        buffer = holding(BmrtRuntime(model, library), counted(NEW, 1))
        gc.collect()
        np.testing.assert_array_equal(buffer.read(), counted(NEW, 1))


PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from wizardtpud.device.bmrt import BmrtLibrary, BmrtRuntime

runtime = BmrtRuntime(Path(sys.argv[2]), BmrtLibrary.load(Path(sys.argv[1])))
specs = [s for n in runtime.networks.values() for s in (*n.inputs, *n.outputs)]
buffers = [runtime.allocate(s.shape, s.dtype) for s in specs]
launch = runtime.bind("double", buffers[:2], buffers[2:])
launch.run()
"""


@pytest.mark.parametrize(
    ("ending", "code"), [("", 0), ("sys.exit(3)", 3), ("raise KeyError", 1), ("del runtime, buffers, launch", 0)]
)
def test_a_process_that_forgets_to_close_ends_well(
    library: BmrtLibrary, model: Path, ending: str, code: int
) -> None:
    command = [sys.executable, "-c", PROGRAM + ending, str(library.directory), str(model)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert process.returncode == code, process.stdout + process.stderr
    assert "ASSERT" not in process.stdout
