"""An estimate from beginning to end, of a model small enough to be compiled in seconds."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from wizardtpu_compile.checkpoint.config import ModelConfig
from wizardtpu_compile.estimate.estimate import estimate
from wizardtpu_compile.estimate.options import EstimateOptions
from wizardtpu_compile.estimate.report import Report
from wizardtpu_compile.steps.record import StepRecord
from wizardtpu_compile.steps.step import Step
from wizardtpu_compile.toolchain.toolchain import MARKER_NAME, Toolchain

CONFIG = ModelConfig(
    model_type="gpt_bigcode", n_embd=128, n_head=4, n_layer=3, n_positions=128, vocab_size=512, n_inner=512
)
OPTIONS = EstimateOptions(contexts=(64,), precisions=("int4", "f16"), prefill_chunks=(16,), verify=(), slots=(2,))


class Watcher:
    """What an estimate tells about its steps."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.finished: list[tuple[str, StepRecord]] = []
        self.closed = False

    def begin(self, steps: Sequence[Step], total: int, jobs: int) -> None:
        assert (len(steps), jobs) == (total, 2)
        self.begun = [step.name for step in steps]

    def start(self, step: Step) -> None:
        assert step.name in self.begun

    def finish(self, step: Step, record: StepRecord) -> None:
        self.finished.append((step.name, record))

    def close(self) -> None:
        self.closed = True


@pytest.fixture(scope="module")
def watcher() -> Watcher:
    return Watcher()


@pytest.fixture(scope="module")
def report(toolchain: Toolchain, watcher: Watcher) -> Report:
    return estimate("small", CONFIG, OPTIONS, toolchain=toolchain.directory, jobs=2, progress=watcher)


def test_every_network_is_compiled_once_for_each_precision(report: Report) -> None:
    assert [precision.blocks for precision in report.precisions] == ["int4", "f16"]
    for precision in report.precisions:
        (context,) = precision.contexts
        assert [net.name for net in context.networks] == [net.name for net in OPTIONS.nets(64)]
        assert all(net.cycles > 0 and net.instructions > 0 for net in context.networks)


def test_every_step_is_told_once(report: Report, watcher: Watcher) -> None:
    nets = {net.name for precision in report.precisions for net in precision.contexts[0].networks}
    assert {name.partition(".")[0] for name in watcher.begun} == nets | {
        "embedding",
        "block",
        "lm_head",
        "greedy_head",
    }
    assert sorted(name for name, _ in watcher.finished) == sorted(watcher.begun)
    assert all(record.peak_memory for name, record in watcher.finished if name.partition(".")[0] in nets)
    assert watcher.closed


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
    assert not list(temporary.iterdir())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_leaves_nothing(
    toolchain: Toolchain, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    with subprocess.Popen(
        command(toolchain, "--config", "wizardcoder-15b", "--jobs", 1),
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            assert child.stderr is not None
            assert re.search(r"; \d+ of \d+ steps, \d+%, about ", child.stderr.readline())
            assert list(tmp_path.iterdir())
            child.send_signal(number)
            said = child.stderr.read()
            assert child.wait(timeout=120) == code
        finally:
            child.kill()
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())


def test_a_failure_leaves_what_its_text_names(toolchain: Toolchain, tmp_path: Path) -> None:
    """Kernels of a block need programs that are not on this search path."""
    bare, temporary = tmp_path / "bare", tmp_path / "temporary"
    for directory in (bare / "kernels", temporary):
        directory.mkdir(parents=True)
    for name in ("tpu_mlir", MARKER_NAME):
        (bare / name).symlink_to(toolchain.directory / name)
    failed = subprocess.run(
        command(Toolchain.find(bare), "--config", "tiny_starcoder_py", "--quantize", "int4"),
        env={**os.environ, "TMPDIR": str(temporary), "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (failed.returncode, failed.stdout) == (1, "")
    assert re.search(r"step block_0_b\S+\.w4f16 failed: .* lacks cmake", failed.stderr)
    assert "goes on from there" not in failed.stderr
    assert "Traceback" not in failed.stderr
    (left,) = temporary.glob("wizardtpu-estimate.*")
    assert f"left in {left}" in failed.stderr
    log = re.search(r"all it said is in (\S+);", failed.stderr)
    assert log is not None
    assert Path(log[1]).read_text()
    again = next(line for line in failed.stderr.splitlines() if line.startswith(f"  cd {left}"))
    assert "ppl_jit" in subprocess.run(again, shell=True, capture_output=True, text=True, check=False).stderr


def command(toolchain: Toolchain, *words: object) -> list[str]:
    arguments = [*map(str, words), "--toolchain", str(toolchain.directory)]
    return [sys.executable, "-m", "wizardtpu_compile", "estimate", *arguments]
