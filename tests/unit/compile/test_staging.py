"""An output appears whole or not at all."""

from __future__ import annotations

import functools
import signal
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from wizardtpu_compile.errors import OutputError
from wizardtpu_compile.options import CpuOptions
from wizardtpu_compile.staging import check_output, staged
from wizardtpu_compile.targets.cpu import build_cpu_bundle
from wizardtpud.model.bundle import Bundle

from tests.support.random_checkpoint import write_random_checkpoint


def staged_bundle(output: Path, force: bool = False) -> AbstractContextManager[Path]:
    return staged(output, functools.partial(check_output, output, force))


@pytest.fixture(scope="module")
def deep_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many layers, so that a build takes long enough to be interrupted."""
    return write_random_checkpoint(tmp_path_factory.mktemp("deep") / "checkpoint", layers=24)


def fill(output: Path, text: str = "new", force: bool = False) -> None:
    with staged_bundle(output, force) as directory:
        (directory / "manifest.json").write_text(text)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def interrupted_build(checkpoint: Path, output: Path, signal_number: int) -> tuple[int, str]:
    """Sends a signal to a building process when it has written some networks: its exit code and messages."""
    command = [sys.executable, "-m", "wizardtpu_compile", "build", str(checkpoint)]
    options = ["--target", "cpu", "--force", "-o", str(output)]
    written = output.parent / f".{output.name}.partial" / "nets" / "block_3.onnx"
    with subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True) as process:
        while not written.exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.002)
        process.send_signal(signal_number)
        messages = process.communicate(timeout=30)[1]
        return process.returncode, messages


def test_a_directory_appears_when_the_block_ends(tmp_path: Path) -> None:
    with staged_bundle(tmp_path / "new" / "output") as directory:
        (directory / "file").write_text("content")
        assert not (tmp_path / "new" / "output").exists()
    assert (tmp_path / "new" / "output" / "file").read_text() == "content"
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "output"]


def test_nothing_remains_of_a_block_that_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), staged_bundle(tmp_path / "output") as directory:
        (directory / "no directory" / "file").write_text("content")
    assert names(tmp_path) == []


def test_an_empty_directory_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    fill(tmp_path / "output")
    assert (tmp_path / "output" / "manifest.json").read_text() == "new"
    assert list(tmp_path.iterdir()) == [tmp_path / "output"]


def test_a_bundle_is_replaced_only_by_force(tmp_path: Path) -> None:
    output = tmp_path / "output"
    fill(output, "old")
    (output / "extra").write_text("of the old one")
    with pytest.raises(OutputError, match="--force"):
        fill(output)
    assert (output / "manifest.json").read_text() == "old"
    fill(output, force=True)
    assert [(path.name, path.read_text()) for path in output.iterdir()] == [("manifest.json", "new")]
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize("kind", ["file", "link", "directory"])
def test_what_is_not_a_bundle_is_never_replaced(tmp_path: Path, kind: str) -> None:
    output, other = tmp_path / "output", tmp_path / "other"
    other.mkdir()
    (other / "letter.txt").write_text("dear")
    if kind == "file":
        output.write_text("dear")
    elif kind == "link":
        output.symlink_to(other)
    else:
        other.rename(output)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError, match="output"):
        fill(output, force=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_two_builds_of_one_output_cannot_meet(tmp_path: Path) -> None:
    with staged_bundle(tmp_path / "output") as directory:
        (directory / "manifest.json").write_text("first")
        with pytest.raises(OutputError, match="another build"):
            fill(tmp_path / "output")
    assert (tmp_path / "output" / "manifest.json").read_text() == "first"


@pytest.mark.parametrize("replacement_in_place", [True, False])
def test_an_exchange_that_was_cut_short_is_ended(tmp_path: Path, replacement_in_place: bool) -> None:
    """By a process that was killed between moving the old bundle away and removing it."""
    output, moved = tmp_path / "output", tmp_path / ".output.replaced"
    fill(tmp_path / "old", "old")
    (tmp_path / "old").rename(moved)
    if replacement_in_place:
        output.mkdir()
        (output / "manifest.json").write_text("new")
    with staged_bundle(output, force=True) as directory:
        (directory / "manifest.json").write_text("newest")
        assert (output / "manifest.json").read_text() == ("new" if replacement_in_place else "old")
        assert not moved.exists()
    assert names(tmp_path) == ["output"]


def test_a_killed_build_leaves_the_old_bundle_and_is_cleared_away(deep_checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "bundle"
    build_cpu_bundle(deep_checkpoint, output, CpuOptions(context=10))
    digest = Bundle.open(output).digest
    code, _ = interrupted_build(deep_checkpoint, output, signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert Bundle.open(output).digest == digest
    assert names(tmp_path) == [".bundle.partial", "bundle"]
    build_cpu_bundle(deep_checkpoint, output, CpuOptions(context=20, force=True))
    assert Bundle.open(output).manifest.context == 20
    assert names(tmp_path) == ["bundle"]


def test_an_interrupted_build_clears_up_itself(deep_checkpoint: Path, tmp_path: Path) -> None:
    assert interrupted_build(deep_checkpoint, tmp_path / "bundle", signal.SIGINT) == (130, "")
    assert names(tmp_path) == []
