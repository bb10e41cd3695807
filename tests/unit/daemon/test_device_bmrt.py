"""What can be known of the vendor's libraries without having them."""

from __future__ import annotations

import _ctypes
import ctypes
import shutil
import struct
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from wizardtpud.device.bmrt.library import BmrtLibrary
from wizardtpud.device.bmrt.structures import Memory, Shape, Tensor
from wizardtpud.device.vendor.dtypes import code_of, dtype_of
from wizardtpud.errors import DeviceError

NATIVE = Path(_ctypes.__file__)
"""Some shared library for this machine, but not the vendor's."""


def test_structures_are_laid_out_as_in_c() -> None:
    assert [ctypes.sizeof(kind) for kind in (Memory, Shape, Tensor)] == [24, 36, 72]
    assert bytes(Memory(address=1, flags=2, size=3)) == struct.pack("=QIiII", 1, 0, 0, 2, 3)
    assert bytes(Tensor(memory=Memory(address=1)))[40:48] == struct.pack("=Q", 1)


def test_a_part_of_memory() -> None:
    memory = Memory(address=1000, dmabuf_fd=3, flags=5, size=100)
    part = memory.part(20, 8)
    assert (part.address, part.size, part.dmabuf_fd, part.flags) == (1020, 8, 3, 5)
    assert (memory.address, memory.size) == (1000, 100)


def test_shapes_there_and_back() -> None:
    assert Shape.of((1, 2, 3)).sizes() == (1, 2, 3)


@pytest.mark.parametrize("code", range(9))
def test_element_types_there_and_back(code: int) -> None:
    assert code_of(dtype_of(code)) == code


def test_the_types_that_models_use() -> None:
    dtypes = [np.float32, np.float16, np.int32, ml_dtypes.bfloat16]
    assert [code_of(np.dtype(dtype)) for dtype in dtypes] == [0, 1, 6, 8]


def test_a_type_without_a_counterpart() -> None:
    with pytest.raises(DeviceError, match="type 9 are not supported"):
        dtype_of(9)


def test_bfloat16_needs_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(DeviceError, match=r"needs ml_dtypes: pip install 'wizardtpud\[tpu\]'"):
        dtype_of(8)


class TestLoading:
    def test_no_directory(self, tmp_path: Path) -> None:
        with pytest.raises(DeviceError, match=r"none is not a directory; it must be the one with libbmlib"):
            BmrtLibrary.load(tmp_path / "none")

    @pytest.mark.parametrize("present", [[], ["libbmrt.so"]])
    def test_a_library_is_missing(self, tmp_path: Path, present: list[str]) -> None:
        for name in present:
            (tmp_path / name).touch()
        with pytest.raises(DeviceError, match=r"has no libbmlib\.so\.0; it must hold the vendor's runtime"):
            BmrtLibrary.load(tmp_path)

    def test_no_library_at_all(self, tmp_path: Path) -> None:
        (tmp_path / "libbmlib.so.0").write_text("#!/bin/sh")
        with pytest.raises(DeviceError, match=r"cannot load .*libbmlib.so.0: .*it must be a library for"):
            BmrtLibrary.load(tmp_path)

    def test_a_library_for_another_machine(self, tmp_path: Path) -> None:
        content = bytearray(NATIVE.read_bytes())
        content[18] ^= 0xFF  # e_machine of the ELF header
        (tmp_path / "libbmlib.so.0").write_bytes(content)
        with pytest.raises(DeviceError, match=r"cannot load .*libbmlib.so.0: .*it must be a library for"):
            BmrtLibrary.load(tmp_path)

    def test_another_library(self, tmp_path: Path) -> None:
        shutil.copy(NATIVE, tmp_path / "libbmlib.so.0")
        with pytest.raises(DeviceError, match=r"is not the vendor's runtime, or is too old: .*bm_dev_getcount"):
            BmrtLibrary.load(tmp_path)
