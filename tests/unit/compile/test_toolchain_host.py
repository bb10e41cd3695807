"""What the machine must have for the toolchain."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest
from wizardtpu_compile.toolchain import host


def put_programs(directory: Path, names: list[str]) -> None:
    for name in names:
        (directory / name).write_text("#!/bin/sh\n")
        (directory / name).chmod(0o755)


@pytest.fixture(autouse=True)
def _supported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of the right kind, whatever runs the test."""
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(os, "confstr", lambda _name: "glibc 2.36")


def test_nothing_is_missing_where_all_programs_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_programs(tmp_path, ["cmake", "make", "cc", "c++"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert host.missing() == []


def test_missing_programs_are_named_with_what_brings_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_programs(tmp_path, ["make", "cc"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert host.describe(host.missing()) == "this machine lacks cmake, c++: apt install cmake g++"


@pytest.mark.parametrize("library", ["glibc 2.31", "musl 1.2"])
def test_an_old_or_other_c_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    put_programs(tmp_path, ["cmake", "make", "cc", "c++"])
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "confstr", lambda _name: library)
    assert [lack.what for lack in host.missing()] == ["glibc 2.34"]


def test_another_processor_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert host.missing()[0].what == "Linux on x86-64"
