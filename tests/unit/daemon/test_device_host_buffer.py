from __future__ import annotations

import numpy as np
import pytest
from wizardtpud.device.host_buffer import HostBuffer
from wizardtpud.errors import DeviceError

FLOAT = np.dtype(np.float32)


@pytest.fixture
def buffer() -> HostBuffer:
    buffer = HostBuffer.zeros((3, 4), FLOAT)
    buffer.write(np.arange(12, dtype=np.float32).reshape(3, 4))
    return buffer


def test_is_zero_at_first() -> None:
    assert not HostBuffer.zeros((2, 3), FLOAT).read().any()


def test_a_view_shares_memory(buffer: HostBuffer) -> None:
    part = buffer.view((2, 2), offset=5)
    np.testing.assert_array_equal(part.read(), [[5, 6], [7, 8]])
    part.view((1,), offset=3).write(np.array([-1], np.float32))
    np.testing.assert_array_equal(buffer.read().reshape(-1), [0, 1, 2, 3, 4, 5, 6, 7, -1, 9, 10, 11])


def test_read_is_a_copy(buffer: HostBuffer) -> None:
    before = buffer.read()
    buffer.write(np.zeros((3, 4), np.float32))
    assert before[2, 3] == 11


@pytest.mark.parametrize(("shape", "offset"), [((13,), 0), ((1,), 12), ((2, 3), 7), ((1,), -1)])
def test_a_view_must_lie_within(buffer: HostBuffer, shape: tuple[int, ...], offset: int) -> None:
    with pytest.raises(DeviceError, match="outside a buffer of 12"):
        buffer.view(shape, offset)


@pytest.mark.parametrize("array", [np.zeros((4, 3), np.float32), np.zeros((3, 4)), np.zeros(12, np.float32)])
def test_what_is_written_must_fit(buffer: HostBuffer, array: np.ndarray) -> None:
    with pytest.raises(DeviceError, match="cannot write"):
        buffer.write(array)


def test_out_of_memory_is_a_device_error() -> None:
    with pytest.raises(DeviceError, match="out of memory"):
        HostBuffer.zeros((1 << 50,), FLOAT)
