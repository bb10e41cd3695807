"""Looking for the interpreter that the vendor's front end needs."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
from wizardtpu_compile.errors import ToolchainError
from wizardtpu_compile.toolchain.frontend import find_python

RIGHT = "cpython 3 10"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin"


def program(path: Path, says: str, code: int = 0) -> Path:
    """A program that says one thing, whatever it is asked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\nexit {code}\n")
    path.chmod(0o755)
    return path


def test_one_on_the_search_path_is_taken(programs: Path) -> None:
    found = program(programs / "python3.10", RIGHT)
    assert find_python() == found


def test_pyenv_has_one_even_if_its_shim_does_not_run(programs: Path, tmp_path: Path) -> None:
    program(programs / "python3.10", "pyenv: python3.10: command not found", code=127)
    program(programs / "pyenv", str(tmp_path / "pyenv"))
    found = program(tmp_path / "pyenv/versions/3.10.13/bin/python3.10", RIGHT)
    assert find_python() == found


def test_uv_has_one(programs: Path, tmp_path: Path) -> None:
    found = program(tmp_path / "uv python", RIGHT)
    program(programs / "uv", str(found))
    assert find_python() == found


def test_every_place_is_named_if_there_is_none(programs: Path, tmp_path: Path) -> None:
    program(programs / "pyenv", str(tmp_path / "pyenv"))
    with pytest.raises(ToolchainError) as error:
        find_python()
    for place in ("python3.10 on PATH", f"{tmp_path}/pyenv/versions/3.10.*", "uv python find 3.10", "--python"):
        assert place in str(error.value)


def test_a_named_one_of_another_version_is_refused(programs: Path) -> None:
    program(programs / "python3.10", RIGHT)
    named = program(programs / "other", "cpython 3 12")
    with pytest.raises(ToolchainError, match=f"{named} is cpython 3 12"):
        find_python(named)


def test_every_package_of_the_front_end_has_hashes_and_no_index_is_named() -> None:
    lines = files("wizardtpu_compile.toolchain").joinpath("frontend-requirements.txt").read_text().splitlines()
    packages = [i for i, line in enumerate(lines) if "==" in line and not line.startswith("#")]
    assert len(packages) > 13
    assert all(lines[i + 1].strip().startswith("--hash=sha256:") for i in packages)
    assert not [line for line in lines if "://" in line]
