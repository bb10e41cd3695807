"""The CPU device against numpy."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from wizardtpud.device.onnx import OnnxNetwork, OnnxRuntime
from wizardtpud.device.runtime import Buffer, TensorSpec
from wizardtpud.errors import DeviceError

from tests.support.onnx_files import append_file, lookup_file, sum_file, write_onnx

FLOAT, INT = np.dtype(np.float32), np.dtype(np.int32)


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[OnnxRuntime]:
    total, lookup = sum_file(tmp_path / "sum.onnx"), lookup_file(tmp_path / "lookup.onnx")
    append = append_file(tmp_path / "append.onnx")
    networks = [
        OnnxNetwork("sum_2", total, {"tokens": 2}),
        OnnxNetwork("sum_3", total, {"tokens": 3}),
        OnnxNetwork("lookup", lookup, {"rows": 4, "tokens": 2}),
        OnnxNetwork("append", append, {"tokens": 2, "width": 3, "history": 5}),
    ]
    with OnnxRuntime(networks) as runtime:
        yield runtime


def filled(runtime: OnnxRuntime, array: np.ndarray) -> Buffer:
    buffer = runtime.allocate(array.shape, array.dtype)
    buffer.write(array)
    return buffer


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_networks_have_static_shapes(runtime: OnnxRuntime) -> None:
    assert runtime.networks["sum_3"].inputs == (TensorSpec("left", (3,), FLOAT), TensorSpec("right", (3,), FLOAT))
    assert runtime.networks["lookup"].inputs[1] == TensorSpec("index", (2,), INT)
    assert runtime.networks["append"].outputs[1] == TensorSpec("new", (2, 3), FLOAT)


def test_shapes_share_a_file_that_is_loaded_once(tmp_path: Path) -> None:
    path, other = sum_file(tmp_path / "sum.onnx"), append_file(tmp_path / "append.onnx")
    seen: list[tuple[int, int]] = []
    networks = [OnnxNetwork(f"sum_{n}", path, {"tokens": n}) for n in (1, 2, 3)]
    networks.append(OnnxNetwork("append", other, {"tokens": 1, "width": 1, "history": 1}))
    with OnnxRuntime(networks, on_progress=lambda *progress: seen.append(progress)) as runtime:
        total = path.stat().st_size + other.stat().st_size
        assert seen == [(other.stat().st_size, total), (total, total)]
        for n in (1, 2, 3):
            ones, target = filled(runtime, np.ones(n, np.float32)), runtime.allocate((n,), FLOAT)
            runtime.bind(f"sum_{n}", [ones, ones], [target]).run()
            np.testing.assert_array_equal(target.read(), [2] * n)


def test_a_launch_sees_what_is_written_later(runtime: OnnxRuntime) -> None:
    left, right, target = (
        filled(runtime, floats(1, 2)),
        filled(runtime, floats(3, 4)),
        runtime.allocate((2,), FLOAT),
    )
    launch = runtime.bind("sum_2", [left, right], [target])
    launch.run()
    np.testing.assert_array_equal(target.read(), [4, 6])
    left.write(floats(10, 20))
    launch.run()
    np.testing.assert_array_equal(target.read(), [13, 24])


def test_views_as_inputs_and_outputs(runtime: OnnxRuntime) -> None:
    memory = filled(runtime, np.arange(8, dtype=np.float32))
    runtime.bind("sum_2", [memory.view((2,), 1), memory.view((2,), 3)], [memory.view((2,), 6)]).run()
    np.testing.assert_array_equal(memory.read(), [0, 1, 2, 3, 4, 5, 4, 6])


def test_outputs_are_placed_anew(runtime: OnnxRuntime) -> None:
    ones, target = filled(runtime, floats(1, 1)), runtime.allocate((7,), FLOAT)
    launch = runtime.bind("sum_2", [ones, ones], [target])
    for offset in (0, 3, 5):
        launch.place_output(0, offset)
        launch.run()
    np.testing.assert_array_equal(target.read(), [2, 2, 0, 2, 2, 2, 2])
    for offset in (6, -1):
        with pytest.raises(DeviceError, match="outside its buffer"):
            launch.place_output(0, offset)


@pytest.mark.parametrize("start", [0, 1, 3])
def test_new_rows_go_into_the_history_that_is_being_read(runtime: OnnxRuntime, start: int) -> None:
    random = np.random.default_rng(start)
    history, x = (random.standard_normal(shape).astype(np.float32) for shape in ((5, 3), (2, 3)))
    mask = (np.arange(5) < start).astype(np.float32)[np.newaxis]
    rows, seen = filled(runtime, history), runtime.allocate((1, 3), FLOAT)
    launch = runtime.bind("append", [filled(runtime, x), filled(runtime, mask), rows], [seen, rows])
    launch.place_output(1, start * 3)
    for _ in range(2):  # a second time, over its own rows
        launch.run()
        np.testing.assert_allclose(seen.read(), mask @ history + (2 * x).sum(0), rtol=1e-5)
    history[start : start + 2] = 2 * x
    np.testing.assert_array_equal(rows.read(), history)


def test_a_launch_keeps_its_memory(runtime: OnnxRuntime) -> None:
    target = runtime.allocate((2,), FLOAT)
    launch = runtime.bind("sum_2", [filled(runtime, floats(1, 2)), filled(runtime, floats(3, 4))], [target])
    gc.collect()
    litter = [np.full(2, 99, np.float32) for _ in range(1000)]
    launch.run()
    np.testing.assert_array_equal(target.read(), [4, 6])
    assert len(litter) == 1000


def test_threads_do_not_change_results(tmp_path: Path) -> None:
    networks = [OnnxNetwork("sum", sum_file(tmp_path / "sum.onnx"), {"tokens": 1 << 16})]
    with OnnxRuntime(networks, threads=2) as runtime:
        values = np.random.default_rng(0).standard_normal(1 << 16).astype(np.float32)
        buffer, target = filled(runtime, values), runtime.allocate(values.shape, FLOAT)
        runtime.bind("sum", [buffer, buffer], [target]).run()
        np.testing.assert_array_equal(target.read(), values + values)


class TestMisuse:
    @pytest.mark.parametrize(
        ("network", "inputs", "outputs", "message"),
        [
            ("product", [], [], "no network 'product' is loaded; there are sum_2"),
            ("sum_2", [(2, FLOAT)], [(2, FLOAT)], "sum_2 takes 2 tensors .left, right."),
            ("sum_2", [(2, FLOAT), (2, FLOAT)], [], "sum_2 takes 1 tensors .total."),
            ("sum_2", [(2, FLOAT), (3, FLOAT)], [(2, FLOAT)], "right is float32.2,.; .* does not fit"),
            ("sum_2", [(2, FLOAT), (1, FLOAT)], [(2, FLOAT)], "right is float32.2,.; .* does not fit"),
            ("sum_2", [(2, INT), (2, FLOAT)], [(2, FLOAT)], "left is float32.2,.; a HostBuffer of int32"),
            ("sum_2", [(2, FLOAT), (2, FLOAT)], [(1, FLOAT)], "total is float32.2,.; .* does not fit"),
            ("sum_2", [(2, FLOAT), (2, FLOAT)], [(2, INT)], "total is float32.2,.; .* does not fit"),
        ],
    )
    def test_binding_what_does_not_fit(
        self,
        runtime: OnnxRuntime,
        network: str,
        inputs: list[tuple[int, np.dtype]],
        outputs: list[tuple[int, np.dtype]],
        message: str,
    ) -> None:
        def allocate(tensors: list[tuple[int, np.dtype]]) -> list[Buffer]:
            return [runtime.allocate((size,), dtype) for size, dtype in tensors]

        with pytest.raises(DeviceError, match=message):
            runtime.bind(network, allocate(inputs), allocate(outputs))

    def test_a_failing_launch_names_its_network(self, runtime: OnnxRuntime) -> None:
        table, index = filled(runtime, floats(5, 6, 7, 8)), filled(runtime, np.array([3, 4], np.int32))
        target = runtime.allocate((2,), FLOAT)
        launch = runtime.bind("lookup", [table, index], [target])
        with pytest.raises(DeviceError, match=r"lookup failed: .*out of data bounds"):
            launch.run()
        index.write(np.array([3, 0], np.int32))
        launch.run()
        np.testing.assert_array_equal(target.read(), [8, 5])

    def test_nothing_is_bound_after_close(self, runtime: OnnxRuntime) -> None:
        runtime.close()
        runtime.close()
        with pytest.raises(DeviceError, match="there are none"):
            runtime.bind("sum_2", [], [])


class TestLoading:
    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(DeviceError, match=r"cannot read .*net\.onnx: No such file"):
            OnnxRuntime([OnnxNetwork("net", tmp_path / "net.onnx", {})])

    def test_a_file_that_is_no_network(self, tmp_path: Path) -> None:
        (tmp_path / "net.onnx").write_bytes(b"\x00garbage" * 100)
        with pytest.raises(DeviceError, match=r"onnxruntime cannot load .*net\.onnx"):
            OnnxRuntime([OnnxNetwork("net", tmp_path / "net.onnx", {})])

    def test_a_dimension_of_unknown_size(self, tmp_path: Path) -> None:
        with pytest.raises(DeviceError, match="left has a dimension 'tokens' of unknown size"):
            OnnxRuntime([OnnxNetwork("sum", sum_file(tmp_path / "sum.onnx"), {"batch": 1})])

    def test_an_unsupported_type(self, tmp_path: Path) -> None:
        node = helper.make_node("Neg", ["x"], ["y"])
        path = write_onnx(
            tmp_path / "neg.onnx", [("x", TensorProto.DOUBLE, [1])], [("y", TensorProto.DOUBLE, [1])], [node]
        )
        with pytest.raises(DeviceError, match=r"x is of an unsupported type, tensor.double."):
            OnnxRuntime([OnnxNetwork("neg", path, {})])

    def test_onnxruntime_is_not_installed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        with pytest.raises(DeviceError, match=r"pip install 'wizardtpud\[cpu\]'"):
            OnnxRuntime([OnnxNetwork("sum", sum_file(tmp_path / "sum.onnx"), {"tokens": 1})])


SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from wizardtpud.device.onnx import OnnxNetwork, OnnxRuntime
from wizardtpud.errors import DeviceError

with OnnxRuntime([OnnxNetwork("lookup", Path(sys.argv[1]), {"rows": 1, "tokens": 1})]) as runtime:
    table, index, found = (runtime.allocate((1,), np.dtype(name)) for name in ("float32", "int32", "float32"))
    index.write(np.array([7], np.int32))
    try:
        runtime.bind("lookup", [table, index], [found]).run()
    except DeviceError:
        sys.exit(3)
"""


def test_onnxruntime_does_not_write_to_stdout(tmp_path: Path) -> None:
    path = lookup_file(tmp_path / "lookup.onnx")
    result = subprocess.run([sys.executable, "-c", SCRIPT, path], stdout=subprocess.PIPE, check=False)
    assert (result.returncode, result.stdout) == (3, b"")
