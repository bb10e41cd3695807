"""Finding a toolchain, and the environment its programs get."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from wizardtpu_compile.errors import ToolchainError
from wizardtpu_compile.toolchain.release import LAYOUT, VERSION
from wizardtpu_compile.toolchain.toolchain import MARKER_NAME, Toolchain, default_directory


def mark(directory: Path, **changed: object) -> Path:
    """Writes the marker of an install into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    marker = {"version": VERSION, "layout": LAYOUT, "wheel_sha256": "0" * 64, "frontend": False, **changed}
    (directory / MARKER_NAME).write_text(json.dumps(marker))
    return directory


def test_a_named_directory_is_found(tmp_path: Path) -> None:
    toolchain = Toolchain.find(mark(tmp_path / "here"))
    assert (toolchain.directory, toolchain.version) == (tmp_path / "here", VERSION)
    assert toolchain.simulator == tmp_path / "here" / "simulator"
    assert toolchain.python is None


def test_the_environment_names_the_default_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIZARDTPU_TOOLCHAIN", str(mark(tmp_path / "there")))
    assert Toolchain.find().directory == tmp_path / "there"


def test_else_it_is_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WIZARDTPU_TOOLCHAIN", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_directory() == tmp_path / "wizardtpu" / f"toolchain-{VERSION}"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_directory() == tmp_path / ".cache" / "wizardtpu" / f"toolchain-{VERSION}"


def test_none_is_reported_with_the_command_that_brings_it(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match=f"install --directory {tmp_path}") as error:
        Toolchain.find(tmp_path)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize("changed", [{"version": "1.29.0"}, {"layout": LAYOUT + 1}])
def test_another_version_is_refused_by_name(tmp_path: Path, changed: dict[str, object]) -> None:
    with pytest.raises(ToolchainError, match=f"{next(iter(changed.values()))}.*{VERSION} .*--force"):
        Toolchain.find(mark(tmp_path, **changed))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_damaged_marker_is_no_toolchain(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MARKER_NAME).write_bytes(content)
    with pytest.raises(ToolchainError, match="--force"):
        Toolchain.find(tmp_path)


def test_the_compilers_environment_has_nothing_of_the_callers_but_the_search_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/somewhere")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("PATH", "/own/programs")
    environment = Toolchain.find(mark(tmp_path)).environment()
    assert environment["PATH"].endswith(":/own/programs")
    assert environment["TPUC_ROOT"] == str(tmp_path / "tpu_mlir")
    assert not environment.keys() & {"LD_LIBRARY_PATH", "PYTHONPATH"}


def test_a_front_end_has_a_python_of_its_own(tmp_path: Path) -> None:
    toolchain = Toolchain.find(mark(tmp_path, frontend=True))
    assert toolchain.python == tmp_path / "python" / "bin" / "python"
    assert toolchain.python_environment()["PYTHONPATH"].split(":")[0] == str(tmp_path)
