"""Kernels are kept for the next compile only if they are whole and the compile succeeded."""

from __future__ import annotations

from pathlib import Path

import pytest
from wizardtpu_compile.toolchain.kernels import kernel_cache


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    (tmp_path / "kernels").mkdir()
    return tmp_path / "kernels"


def make_kernel(cache: Path, key: str, whole: bool = True) -> None:
    """What the vendor's programs leave in their cache."""
    (cache / key / "lib").mkdir(parents=True)
    (cache / key / "build").mkdir()
    (cache / key / "lib" / "libkernel.so").write_text(f"kernel {key}")
    if whole:
        (cache / key / "compiled").touch()
    with (cache / "flag.txt").open("a") as flags:
        flags.write(f"{key} {0 if whole else 32512}\n")


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_new_kernel_is_there_for_the_next_compile(kept: Path) -> None:
    with kernel_cache(kept) as variables:
        make_kernel(Path(variables["PPL_CACHE_PATH"]), "111")
    assert names(kept / "111") == ["compiled", "lib"]
    with kernel_cache(kept) as variables:
        cache = Path(variables["PPL_CACHE_PATH"])
        assert (cache / "111" / "lib" / "libkernel.so").read_text() == "kernel 111"
        assert names(cache) == ["111"]
    assert not cache.exists()
    assert names(kept) == ["111"]


def test_a_failure_is_not_remembered(kept: Path) -> None:
    with kernel_cache(kept) as variables:
        make_kernel(Path(variables["PPL_CACHE_PATH"]), "111", whole=False)
    assert names(kept) == []


def test_nothing_is_kept_of_a_compile_that_raises(kept: Path) -> None:
    with pytest.raises(KeyError), kernel_cache(kept) as variables:
        make_kernel(Path(variables["PPL_CACHE_PATH"]), "111")
        raise KeyError
    assert names(kept) == []


def test_two_compiles_may_keep_the_same_kernel(kept: Path) -> None:
    with kernel_cache(kept) as first, kernel_cache(kept) as second:
        for variables in (first, second):
            make_kernel(Path(variables["PPL_CACHE_PATH"]), "111")
    assert names(kept) == ["111"]
    assert (kept / "111" / "lib" / "libkernel.so").read_text() == "kernel 111"


def test_an_install_without_room_for_kernels_works(tmp_path: Path) -> None:
    with kernel_cache(tmp_path / "nowhere") as variables:
        make_kernel(Path(variables["PPL_CACHE_PATH"]), "111")
    assert names(tmp_path) == []
