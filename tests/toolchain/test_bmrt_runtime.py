"""What libbmrt can do and sail cannot; the rest is in `test_runtimes.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from wizardtpu_compile.targets.tpu.build import build_tpu_bundle
from wizardtpu_compile.toolchain.toolchain import Toolchain
from wizardtpud.device.bmrt import BmrtLibrary, BmrtRuntime
from wizardtpud.device.bmrt.runtime import _check_places
from wizardtpud.errors import DeviceError

from tests.support.doubling_network import NAME, PAST, ROWS, WIDTH, compile_doubling_network
from tests.support.tpu_checkpoint import few_shapes

HALF = np.dtype(np.float16)


@pytest.fixture(scope="module")
def model(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_doubling_network(toolchain, tmp_path_factory.mktemp("model"), "f16")


def test_the_library_is_a_simulator_s(bmrt_library: BmrtLibrary) -> None:
    assert bmrt_library.simulated


def test_memory_of_a_network_that_is_not_there(model: Path, bmrt_library: BmrtLibrary) -> None:
    with BmrtRuntime(model, bmrt_library) as runtime, pytest.raises(DeviceError, match="no network 'x' is loaded"):
        runtime.own_input("x", 0)
    with pytest.raises(DeviceError, match="no network 'double' is loaded"):
        runtime.own_input(NAME, 0)


def test_a_network_s_own_memory_is_an_input(model: Path, bmrt_library: BmrtLibrary) -> None:
    with BmrtRuntime(model, bmrt_library) as runtime:
        rows, history = runtime.own_input(NAME, 0), runtime.own_input(NAME, 1)
        assert [buffer.shape for buffer in (rows, history)] == [(1, ROWS, 1, WIDTH), (1, PAST, 1, WIDTH)]
        history.write(np.full(history.shape, 3, HALF))
        outputs = [runtime.allocate(buffer.shape, HALF) for buffer in (rows, history)]
        runtime.bind(NAME, [rows, history], outputs).run()
        np.testing.assert_array_equal(outputs[1].read(), np.full(history.shape, 6, HALF))


@pytest.mark.parametrize(("addr_mode", "copied"), [("io_alone", True), ("io_reloc", False)])
def test_inputs_are_copied_only_to_networks_with_memory_of_their_own(
    addr_mode: str, copied: bool, toolchain: Toolchain, tmp_path: Path, bmrt_library: BmrtLibrary
) -> None:
    """The runtime does so inside a launch; wizardtpu-compile compiles for any address (io_reloc)."""
    model = compile_doubling_network(toolchain, tmp_path, "f16", addr_mode=addr_mode)
    with BmrtRuntime(model, bmrt_library) as runtime:
        inputs, outputs = ([runtime.allocate((1, n, 1, WIDTH), HALF) for n in (ROWS, PAST)] for _ in "io")
        history = np.arange(PAST * WIDTH, dtype=HALF).reshape(inputs[1].shape)
        inputs[1].write(history)
        runtime.bind(NAME, inputs, outputs).run()
        np.testing.assert_array_equal(outputs[1].read(), history * 2)
        assert np.array_equal(runtime.own_input(NAME, 1).read(), history) is copied


@pytest.fixture(scope="module")
def divided(toolchain: Toolchain, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bmodel for two devices."""
    bundle = tmp_path_factory.mktemp("divided") / "bundle"
    build_tpu_bundle(checkpoint, bundle, few_shapes(quantize="int8", num_device=2), toolchain.directory)
    return bundle / "model.bmodel"


def test_networks_for_two_devices_keep_their_tensors_on_the_first(
    divided: Path, bmrt_library: BmrtLibrary
) -> None:
    """As far as the runtime tells: the simulator has one device, and cannot run them."""
    with BmrtRuntime(divided, bmrt_library) as runtime:
        infos = [
            bmrt_library.bmrt.bmrt_get_network_info(runtime._runtime, name.encode()).contents
            for name in runtime.networks
        ]
        for info in infos:
            _check_places(info)
        infos[0].output_places[1] = 1
        with pytest.raises(DeviceError, match="has tensors on device 1 of its group"):
            _check_places(infos[0])
