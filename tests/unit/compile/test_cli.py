"""The command as a person or a script meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pytest
from wizardtpu_compile.cli.main import main
from wizardtpud.model.bundle import Bundle

from tests.support.edited_checkpoint import edit_json


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


class Command:
    """Runs `wizardtpu-compile` in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: str | Path) -> Outcome:
        self._monkeypatch.setattr(sys, "argv", ["wizardtpu-compile", *map(str, arguments)])
        code: object = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        assert isinstance(code, int)
        return Outcome(code, *self._capsys.readouterr())


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


def test_version(command: Command) -> None:
    assert command("--version") == (0, f"wizardtpu-compile {version('wizardtpu-compile')}\n", "")


@pytest.mark.parametrize("arguments", [["--help"], ["build", "--help"], ["inspect", "--help"]])
def test_help_tells_the_exit_codes(command: Command, arguments: list[str]) -> None:
    code, out, _ = command(*arguments)
    assert code == 0
    assert "exit codes:" in out
    assert "130" in out


def test_build_and_inspect(command: Command, sound_checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "bundle"
    arguments = ("--target", "cpu", "-o", output, "--quantize", "int4", "--group-size", "32", "--context", "64")
    code, out, err = command("build", sound_checkpoint, *arguments, "--prefill-chunks", "8,32", "--name", "tiny")
    assert (code, err) == (0, "")
    assert f"{output}: tiny, int4, context 64" in out
    assert "lowest cosine 0.9" in out

    code, out, err = command("inspect", output)
    assert (code, err) == (0, "")
    for words in ("tiny: gpt_bigcode for cpu, context 64", "blocks int4", "groups of 32", "block_1_b1_t32_s64"):
        assert words in out
    assert Bundle.open(output).digest in out

    code, out, _ = command("inspect", "--json", output)
    assert code == 0
    assert json.loads(out)["manifest"] == json.loads((output / "manifest.json").read_text())


def test_verbose_tells_each_network(command: Command, sound_checkpoint: Path, tmp_path: Path) -> None:
    _, _, err = command("build", sound_checkpoint, "--target", "cpu", "-o", tmp_path / "bundle", "-v")
    first, *lines = err.splitlines()
    assert first == "0.1 million weights to write and verify"
    assert [line.split(":")[0] for line in lines] == ["embedding", "block_0", "block_1", "lm_head", "greedy_head"]
    assert "100% done, about 0 s left" in lines[-1]


def shown_at_a_terminal(sound_checkpoint: Path, tmp_path: Path, **environment: str) -> str:
    person, terminal = os.openpty()
    arguments = ["build", str(sound_checkpoint), "--target", "cpu", "-v", "-o", str(tmp_path / "bundle")]
    command = [sys.executable, "-m", "wizardtpu_compile", *arguments]
    environment = {**os.environ, "COLUMNS": "100", **environment}
    subprocess.run(command, stderr=terminal, stdout=subprocess.DEVNULL, env=environment, check=True, timeout=60)
    shown = os.read(person, 1 << 16).decode()
    os.close(person)
    os.close(terminal)
    return shown


def test_a_terminal_shows_a_bar(sound_checkpoint: Path, tmp_path: Path) -> None:
    shown = shown_at_a_terminal(sound_checkpoint, tmp_path, TERM="xterm", PYTHONIOENCODING="ascii")
    assert "100%" in shown
    assert "block_1: " in shown
    assert "\\u" not in shown


def test_a_terminal_without_a_cursor_shows_lines(sound_checkpoint: Path, tmp_path: Path) -> None:
    shown = shown_at_a_terminal(sound_checkpoint, tmp_path, TERM="dumb")
    assert "100% done, about 0 s left" in shown


def test_json_result(command: Command, sound_checkpoint: Path, tmp_path: Path) -> None:
    code, out, _ = command("build", sound_checkpoint, "--target", "cpu", "-o", tmp_path / "bundle", "--json")
    result = json.loads(out)
    assert code == 0
    assert result["bundle"] == str(tmp_path / "bundle")
    assert result["bytes"] == Bundle.open(tmp_path / "bundle").manifest.size
    assert min(result["similarity"].values()) > 0.99999


def test_chat_template_from_a_file(command: Command, sound_checkpoint: Path, tmp_path: Path) -> None:
    template = tmp_path / "template.jinja"
    template.write_text("{{ messages[0].content }}?")
    arguments = ("--target", "cpu", "-o", tmp_path / "bundle", "--chat-template", template)
    assert command("build", sound_checkpoint, *arguments).code == 0
    assert Bundle.open(tmp_path / "bundle").manifest.chat_template == "{{ messages[0].content }}?"


def test_a_bad_checkpoint_is_one_line_and_exit_1(command: Command, checkpoint: Path, tmp_path: Path) -> None:
    edit_json(checkpoint / "config.json", model_type="llama")
    code, out, err = command("build", checkpoint, "--target", "cpu", "-o", tmp_path / "bundle")
    assert (code, out) == (1, "")
    assert err.startswith("wizardtpu-compile: ")
    assert err.count("\n") == 1
    assert "llama" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--context", "1000"],
        ["--context", "many"],
        ["--prefill-chunks", "16;64"],
        ["--prefill-chunks", "-3"],
        ["--quantize", "int3"],
        ["--group-size", "48"],
        ["--chat-template", "nowhere.jinja"],
        ["--name", " "],
        ["--target", "bm9999"],
        ["--unknown"],
    ],
)
def test_a_bad_option_is_named_with_exit_2(
    command: Command, sound_checkpoint: Path, tmp_path: Path, arguments: list[str]
) -> None:
    code, out, err = command("build", sound_checkpoint, "--target", "cpu", "-o", tmp_path / "bundle", *arguments)
    assert (code, out) == (2, "")
    assert arguments[0] in err
    assert not (tmp_path / "bundle").exists()


def test_a_taken_output_is_exit_1(command: Command, sound_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    code, _, err = command("build", sound_checkpoint, "--target", "cpu", "--force", "-o", tmp_path)
    assert code == 1
    assert "not a bundle" in err


def test_an_output_that_cannot_be_written_is_exit_1(
    command: Command, sound_checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = command("build", sound_checkpoint, "--target", "cpu", "-o", tmp_path / "file" / "bundle")
    assert code == 1
    assert err == f"wizardtpu-compile: {tmp_path / 'file'}: File exists\n"


def test_a_full_disk_is_told(sound_checkpoint: Path, tmp_path: Path) -> None:
    arguments = ["build", str(sound_checkpoint), "--target", "cpu", "-o", str(tmp_path / "bundle")]
    with Path("/dev/full").open("wb") as full:
        outcome = run_process(*arguments, stdout=full.fileno())
    assert (outcome.returncode, outcome.stderr) == (1, b"wizardtpu-compile: No space left on device\n")


def test_a_reader_that_goes_away_ends_it_quietly(sound_checkpoint: Path, tmp_path: Path) -> None:
    bundle = str(tmp_path / "bundle")
    run_process("build", str(sound_checkpoint), "--target", "cpu", "-o", bundle, stdout=subprocess.DEVNULL)
    reader, writer = os.pipe()
    os.close(reader)
    outcome = run_process("inspect", bundle, stdout=writer)
    os.close(writer)
    assert (outcome.returncode, outcome.stderr) == (141, b"")


def run_process(*arguments: str, stdout: int) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "wizardtpu_compile", *arguments]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, timeout=60, check=False)


def test_inspect_names_the_damaged_file(command: Command, sound_checkpoint: Path, tmp_path: Path) -> None:
    command("build", sound_checkpoint, "--target", "cpu", "-o", tmp_path / "bundle")
    path = tmp_path / "bundle" / "nets" / "block_1.onnx"
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    code, _, err = command("inspect", tmp_path / "bundle")
    assert code == 1
    assert "nets/block_1.onnx" in err


@pytest.mark.parametrize("arguments", [["build", "--help"], ["verify", "--help"]])
def test_help_is_for_the_chip_too(command: Command, arguments: list[str]) -> None:
    code, out, _ = command(*arguments)
    assert code == 0
    assert "bm1684x" in out
    assert "--toolchain" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--quantize", "f32"],
        ["--activations", "f32"],
        ["--check", "some"],
        ["--frontend", "torch"],
        ["--layout", "mine"],
        ["--num-device", "two"],
    ],
)
def test_a_bad_option_for_the_chip_is_named_with_exit_2(
    command: Command, sound_checkpoint: Path, tmp_path: Path, arguments: list[str]
) -> None:
    place = ("--target", "bm1684x", "-o", tmp_path / "bundle")
    code, out, err = command("build", sound_checkpoint, *place, *arguments)
    assert (code, out) == (2, "")
    assert arguments[0] in err
    assert list(tmp_path.iterdir()) == []


def test_an_option_of_the_chip_is_refused_for_the_cpu(
    command: Command, sound_checkpoint: Path, tmp_path: Path
) -> None:
    place = ("--target", "cpu", "-o", tmp_path / "bundle")
    code, out, err = command("build", sound_checkpoint, *place, "--verify", "4")
    assert (code, out, err) == (2, "", "wizardtpu-compile: --verify is not for --target cpu\n")


def test_without_a_toolchain_the_cure_is_told(command: Command, sound_checkpoint: Path, tmp_path: Path) -> None:
    place = ("--target", "bm1684x", "-o", tmp_path / "bundle", "--toolchain", tmp_path / "nowhere")
    code, out, err = command("build", sound_checkpoint, *place)
    assert (code, out) == (1, "")
    assert f"wizardtpu-compile toolchain install --directory {tmp_path / 'nowhere'}" in err
    assert list(tmp_path.iterdir()) == []


def test_verify_refuses_a_bundle_for_the_cpu(command: Command, sound_checkpoint: Path, tmp_path: Path) -> None:
    """Before anything is asked of the vendor's libraries, which are not there."""
    command("build", sound_checkpoint, "--target", "cpu", "-o", tmp_path / "bundle")
    arguments = ("--against", sound_checkpoint, "--library", tmp_path / "nowhere")
    code, out, err = command("verify", tmp_path / "bundle", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("wizardtpu-compile: the bundle is for cpu")


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--tokens", "-1"], "--tokens -1"),
        (["--shapes", "1,8"], "'1,8' is not a list of shapes"),
        (["--layers", "a"], "'a' is not a list of numbers"),
    ],
)
def test_what_verify_cannot_read(
    command: Command, sound_checkpoint: Path, tmp_path: Path, arguments: list[str], fault: str
) -> None:
    code, out, err = command("verify", tmp_path / "bundle", "--against", sound_checkpoint, *arguments)
    assert (code, out) == (2, "")
    assert fault in err
