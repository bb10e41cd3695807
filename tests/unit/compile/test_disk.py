"""A second name for a file, or a copy."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from wizardtpu_compile.disk import link_or_copy


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(os.urandom((4 << 20) + 5))
    return path


def test_a_file_gets_a_second_name(file: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(file)
    link_or_copy(tmp_path / "link", tmp_path / "place")
    assert (tmp_path / "place").samefile(file)
    assert not (tmp_path / "place").is_symlink()


def refuse(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def link(*_paths: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", link)


def test_a_file_is_copied_to_another_file_system(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, errno.EXDEV)
    copied: list[int] = []
    link_or_copy(file, tmp_path / "place", copied.append)
    assert (tmp_path / "place").read_bytes() == file.read_bytes()
    assert copied == [4 << 20, 5]


def test_other_failures_are_told(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, errno.ENOSPC)
    with pytest.raises(OSError, match="No space left"):
        link_or_copy(file, tmp_path / "place")
