"""The options of `wizardtpu-compile estimate`, up to where it would compile."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from wizardtpu_compile.cli.estimate import add_estimate_command
from wizardtpu_compile.errors import CheckpointError, CompileError, OptionError, ToolchainError


def run(*arguments: str | Path) -> None:
    parser = argparse.ArgumentParser()
    add_estimate_command(parser.add_subparsers(required=True))
    parsed = parser.parse_args(["estimate", *map(str, arguments)])
    parsed.run(parsed)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--config", "gpt-2"], "invalid choice: 'gpt-2'"),
        (["--config", "wizardcoder-1b", "somewhere"], "not allowed with argument"),
        (["--quantize", "int4,int3"], "'int4,int3' is not a list of int4, int8, f16, bf16"),
        (["--quantize", ","], "is not a list of"),
        (["--context", "512,many"], "'512,many' is not a list of numbers"),
        (["--slots", "8;16"], "'8;16' is not a list of numbers"),
        (["--group-size", "a"], "invalid int value: 'a'"),
    ],
)
def test_what_cannot_be_read(arguments: list[str], fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run(*arguments)
    assert end.value.code == 2
    assert fault in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--context", "9000"], "--context 9000: must be from 2 to the model's 8192 positions"),
        (["--jobs", "0"], "--jobs 0: must be at least 1"),
        (["--verify", "1"], "--verify 1: must be at least 2"),
        (["--num-device", "5"], "--num-device 5: must be one of"),
        (["--group-size", "100"], "--group-size 100"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_compiler_is_looked_for(
    arguments: list[str], fault: str, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=fault):
        run(*arguments, "--toolchain", tmp_path)


def test_without_a_toolchain(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="toolchain install"):
        run("--toolchain", tmp_path / "none")


def test_of_a_checkpoint_only_the_config_is_needed(sound_checkpoint: Path, tmp_path: Path) -> None:
    def outcome(config: str) -> CompileError:
        directory = tmp_path / "checkpoint"
        directory.mkdir(exist_ok=True)
        (directory / "config.json").write_text(config)
        with pytest.raises(CompileError) as caught:
            run(directory, "--context", "64", "--toolchain", tmp_path / "none")
        return caught.value

    sound = (sound_checkpoint / "config.json").read_text()
    assert isinstance(outcome(sound), ToolchainError)
    assert isinstance(outcome(sound.replace("gpt_bigcode", "llama")), CheckpointError)
    with pytest.raises(CheckpointError, match=r"config\.json is missing"):
        run(tmp_path / "nothing")
