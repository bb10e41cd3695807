"""An estimate from beginning to end, of a model small enough to be compiled in seconds."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from wizardtpu_compile.checkpoint.config import ModelConfig
from wizardtpu_compile.estimate.estimate import estimate
from wizardtpu_compile.estimate.options import EstimateOptions
from wizardtpu_compile.estimate.report import Report
from wizardtpu_compile.toolchain.toolchain import Toolchain

from tests.support.toolchain import require_toolchain

CONFIG = ModelConfig(
    model_type="gpt_bigcode", n_embd=128, n_head=4, n_layer=3, n_positions=128, vocab_size=512, n_inner=512
)
OPTIONS = EstimateOptions(contexts=(64,), precisions=("int4", "f16"), prefill_chunks=(16,), verify=(), slots=(2,))
COMMAND = """
import argparse, sys
from wizardtpu_compile.cli.estimate import add_estimate_command
parser = argparse.ArgumentParser()
add_estimate_command(parser.add_subparsers())
arguments = parser.parse_args(["estimate", *sys.argv[1:]])
arguments.run(arguments)
"""


@pytest.fixture(scope="module")
def toolchain() -> Toolchain:
    return require_toolchain()


@pytest.fixture(scope="module")
def report(toolchain: Toolchain) -> Report:
    return estimate("small", CONFIG, OPTIONS, toolchain=toolchain.directory, jobs=2)


def test_every_network_is_compiled_once_for_each_precision(report: Report) -> None:
    assert [precision.blocks for precision in report.precisions] == ["int4", "f16"]
    for precision in report.precisions:
        (context,) = precision.contexts
        assert [net.name for net in context.networks] == [net.name for net in OPTIONS.nets(64)]
        assert all(net.cycles > 0 and net.instructions > 0 for net in context.networks)


def test_what_weights_take(report: Report) -> None:
    width, inner, vocabulary = 128, 512, 512
    layer = width * (width + 2 * 32) + width * width + 2 * width * inner
    f16 = report.precisions[1].contexts[0]
    sizes = {net.name: net.weights for net in f16.networks}
    assert 2 * layer < sizes["block_0_b1_t1_s64"] < 2.5 * layer
    assert 2 * vocabulary * width <= sizes["lm_head_b1"] < 2.5 * vocabulary * width
    tables = 2 * (vocabulary + 128) * width
    assert tables <= sizes["embedding_b1_t1"] < 1.1 * tables
    assert f16.memory[0].weights >= 3 * sizes["block_0_b1_t1_s64"] + sizes["lm_head_b1"] + sizes["embedding_b1_t1"]
    int4 = {net.name: net.weights for net in report.precisions[0].contexts[0].networks}
    assert int4["block_0_b1_t1_s64"] < 0.5 * sizes["block_0_b1_t1_s64"]


def test_a_bigger_step_takes_longer(report: Report) -> None:
    for precision in report.precisions:
        cycles = {net.name: net.cycles for net in precision.contexts[0].networks}
        assert cycles["block_0_b1_t1_s64"] < cycles["block_0_b1_t16_s64"]


def test_chips_that_share_the_work_take_less_than_one(report: Report, toolchain: Toolchain) -> None:
    options = dataclasses.replace(OPTIONS, precisions=("int4",), prefill_chunks=(), slots=(), num_device=2)
    shared = estimate("small", CONFIG, options, toolchain=toolchain.directory).precisions[0].contexts[0]
    one, two = (
        {net.name: net.cycles for net in context.networks}
        for context in (report.precisions[0].contexts[0], shared)
    )
    assert 0.5 * one["block_0_b1_t1_s64"] < two["block_0_b1_t1_s64"] < one["block_0_b1_t1_s64"]


def test_the_command_prints_json(toolchain: Toolchain, tmp_path: Path) -> None:
    checkpoint, temporary = tmp_path / "small", tmp_path / "temporary"
    for directory in (checkpoint, temporary):
        directory.mkdir()
    (checkpoint / "config.json").write_text(json.dumps(msgspec.to_builtins(CONFIG)))
    words = [checkpoint, "--json", "--quantize", "int4", "--context", "32", "--prefill-chunks", ""]
    done = subprocess.run(
        [*command(toolchain, *words), "--verify", "", "--slots", "1"],
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = msgspec.json.decode(done.stdout, type=Report)
    assert (report.model, report.layers, report.toolchain) == ("small", 3, toolchain.version)
    assert [context.context for context in report.precisions[0].contexts] == [32]
    assert "4 of 4 done" in done.stderr
    assert not list(temporary.iterdir())


def test_ctrl_c_leaves_nothing(toolchain: Toolchain, tmp_path: Path) -> None:
    with subprocess.Popen(
        command(toolchain, "--config", "tiny_starcoder_py"),
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            assert child.stderr is not None
            assert "networks to compile" in child.stderr.readline()
            assert " of " in child.stderr.readline()
            child.send_signal(signal.SIGINT)
            said = child.stderr.read()
            assert child.wait(timeout=120) != 0
        finally:
            child.kill()
    assert "KeyboardInterrupt" in said
    assert not list(tmp_path.iterdir())


def command(toolchain: Toolchain, *words: object) -> list[str]:
    return [sys.executable, "-c", COMMAND, *map(str, words), "--toolchain", str(toolchain.directory)]
