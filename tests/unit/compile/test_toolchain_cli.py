"""`wizardtpu-compile toolchain`: what it prints and refuses."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
from wizardtpu_compile.cli.toolchain import add_toolchain_command
from wizardtpu_compile.errors import OptionError, ToolchainError
from wizardtpu_compile.toolchain.release import LAYOUT, VERSION
from wizardtpu_compile.toolchain.toolchain import MARKER_NAME


def run(*words: str) -> None:
    parser = argparse.ArgumentParser()
    add_toolchain_command(parser.add_subparsers(required=True))
    arguments = parser.parse_args(["toolchain", *words])
    arguments.run(arguments)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    marker = {"version": VERSION, "layout": LAYOUT, "wheel_sha256": "f" * 64, "frontend": False}
    (tmp_path / MARKER_NAME).write_text(json.dumps(marker))
    (tmp_path / "library").write_bytes(bytes(3_000_000))
    (tmp_path / "same library").hardlink_to(tmp_path / "library")
    return tmp_path


def test_show_tells_where_it_is_and_its_size(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("show", "--directory", str(directory))
    assert capsys.readouterr().out.splitlines()[0] == f"{directory}: TPU-MLIR {VERSION}, 3 MB"


def test_show_as_json(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    run("show", "--directory", str(directory), "--json")
    shown = json.loads(capsys.readouterr().out)
    assert (shown["directory"], shown["version"]) == (str(directory), VERSION)
    assert shown["frontend_python"] is None
    assert shown["bytes"] == 3_000_000 + (directory / MARKER_NAME).stat().st_size
    assert all(lack["what"] and lack["cure"] for lack in shown["missing"])
    assert shown["missing"]


def test_installing_what_is_there_says_so_at_once(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("install", "--directory", str(directory), "--json")
    assert json.loads(capsys.readouterr().out)["wheel_sha256"] == "f" * 64


@pytest.mark.parametrize("action", ["check", "show"])
def test_without_a_toolchain_the_cure_is_told(tmp_path: Path, action: str) -> None:
    with pytest.raises(ToolchainError, match="toolchain install"):
        run(action, "--directory", str(tmp_path))


def test_a_python_without_a_front_end_is_an_error() -> None:
    with pytest.raises(OptionError, match="--frontend-onnx"):
        run("install", "--python", "python3.10")
