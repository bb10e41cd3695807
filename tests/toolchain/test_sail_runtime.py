"""What sail alone is tried with, by its stand-in; the rest is in `test_runtimes.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from wizardtpu_compile.toolchain.toolchain import Toolchain
from wizardtpud.device.runtime import Runtime
from wizardtpud.device.sail import SailLibrary, SailRuntime
from wizardtpud.device.telemetry import DeviceReading
from wizardtpud.errors import DeviceError

from tests.support.doubling_network import NAME, PAST, ROWS, WIDTH, compile_doubling_network
from tests.support.sail import load_standin

HALF = np.dtype(np.float16)
NEW, OLD = (1, ROWS, 1, WIDTH), (1, PAST, 1, WIDTH)


@pytest.fixture(scope="module")
def model(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_doubling_network(toolchain, tmp_path_factory.mktemp("model"), "f16")


@pytest.fixture(scope="module")
def two_devices(toolchain: Toolchain) -> SailLibrary:
    return load_standin(toolchain.simulator, devices=2)


def doubled(runtime: Runtime, value: float) -> float:
    rows, old, outputs = runtime.allocate(NEW, HALF), runtime.allocate(OLD, HALF), [NEW, OLD]
    rows.write(np.full(NEW, value, HALF))
    targets = [runtime.allocate(shape, HALF) for shape in outputs]
    runtime.bind(NAME, [rows, old], targets).run()
    return float(targets[0].read()[0, 0, 0, 0])


def test_replicas_on_devices_of_their_own(model: Path, two_devices: SailLibrary) -> None:
    with SailRuntime(model, [0], two_devices) as first:
        with SailRuntime(model, [1], two_devices) as second:
            assert (doubled(first, 2), doubled(second, 3)) == (4, 6)
        assert doubled(first, 5) == 10


def test_one_more_device_than_there_is(model: Path, two_devices: SailLibrary) -> None:
    with pytest.raises(DeviceError, match="there is no device 2; this machine has 2, counted from 0"):
        SailRuntime(model, [0, 2], two_devices)


def test_a_network_has_no_memory_of_its_own(model: Path, sail_library: SailLibrary) -> None:
    with SailRuntime(model, library=sail_library) as runtime:
        assert runtime.own_input(NAME, 1) is None


def test_a_simulated_device_tells_its_number_alone(model: Path, two_devices: SailLibrary) -> None:
    with SailRuntime(model, [1], two_devices) as runtime:
        (telemetry,) = runtime.telemetry
        telemetry.refresh()
        assert telemetry.read() == DeviceReading(1)


def test_memory_is_freed_when_closed_whoever_still_refers_to_it(model: Path, sail_library: SailLibrary) -> None:
    runtime = SailRuntime(model, library=sail_library)
    rows, old = runtime.allocate(NEW, HALF), runtime.allocate(OLD, HALF)
    part, launch = rows.view((1,)), runtime.bind(NAME, [rows, old], [rows, old])
    runtime.close()
    launch.place_output(0, 0)
    for use in (launch.run, part.read, lambda: rows.view((1,)), lambda: old.write(np.zeros(OLD, HALF))):
        with pytest.raises(DeviceError, match="the device is closed"):
            use()
