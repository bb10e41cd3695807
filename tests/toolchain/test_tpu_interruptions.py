"""A build for the BM1684X that is ended, in whatever way, goes on where it was and gives the same bundle."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from wizardtpu_compile.targets.tpu.build import build_tpu_bundle, workspace_of
from wizardtpu_compile.targets.tpu.plan import MODEL_NAME
from wizardtpu_compile.toolchain.toolchain import Toolchain
from wizardtpud.model.bundle import Bundle
from wizardtpud.model.manifest import Manifest

from tests.support.compile_command import (
    TIMEOUT,
    command_line,
    freeze,
    is_gone,
    run_command,
    running_command,
    started_by,
)
from tests.support.eventually import eventually
from tests.support.tpu_checkpoint import CONTEXT, few_shapes

Probe = Callable[[], object]


@pytest.fixture(scope="module")
def whole(toolchain: Toolchain, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Of a build that nothing interrupted."""
    output = tmp_path_factory.mktemp("whole") / "bundle"
    return build_tpu_bundle(checkpoint, output, few_shapes(), toolchain.directory).manifest


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "bundle"


@pytest.fixture
def arguments(toolchain: Toolchain, checkpoint: Path, output: Path) -> list[str | Path]:
    """`few_shapes`, as the command has it; it tells each step."""
    shapes = ["--context", str(CONTEXT), "--prefill-chunks", "8", "--verify", "0", "--slots", "1"]
    place: list[str | Path] = ["--toolchain", toolchain.directory, "-o", output]
    return ["build", checkpoint, "--target", "bm1684x", *shapes, "--check", "none", "-v", *place]


def done(output: Path) -> set[str]:
    """The steps with a record."""
    return {path.parent.name for path in (workspace_of(output) / "steps").glob("*/done.json")}


def ran(told: str) -> list[str]:
    """The steps that a build has told about."""
    return re.findall(r"^(\S+): [\d.]+ s[,;]", told, re.MULTILINE)


def finish(arguments: list[str | Path], output: Path, whole: Manifest) -> list[str]:
    """Builds on to the end; the steps that this took."""
    finished = run_command(*arguments)
    assert finished.returncode == 0, finished.stderr
    bundle = Bundle.open(output)
    assert bundle.manifest.files == whole.files
    assert bundle.manifest.networks == whole.networks
    return ran(finished.stderr)


def wait_for(process: subprocess.Popen[str], probe: Probe, what: str) -> None:
    """Until the probe is true, of a process that must not have ended by then."""

    def look() -> object:
        assert process.poll() is None, process.communicate()
        return probe()

    eventually(look, what)


def a_record(output: Path, end: str) -> Probe:
    return lambda: any(name.endswith(end) for name in done(output))


def compilers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The vendor's compiler, wherever this process runs it."""
    return [child for child in started_by(process) if is_compiler(child)]


def is_compiler(process: psutil.Process) -> bool:
    try:
        return process.name() == "tpuc-opt"
    except psutil.NoSuchProcess:
        return False


def left(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [process for process in processes if not is_gone(process)]


def test_what_nothing_interrupts(arguments: list[str | Path], output: Path, whole: Manifest) -> None:
    assert len(finish(arguments, output, whole)) == len(done(output))


@pytest.mark.parametrize("moment", [".weights", "_t8", ".add"])
def test_killed_when_a_step_is_done(
    arguments: list[str | Path], output: Path, whole: Manifest, moment: str
) -> None:
    with running_command(*arguments) as process:
        wait_for(process, a_record(output, moment), f"a step {moment}")
        freeze(process)
        processes, kept = started_by(process), done(output)
        process.kill()
        assert process.wait(timeout=TIMEOUT) == -signal.SIGKILL
    eventually(lambda: not left(processes), f"the end of {processes}")
    assert not output.exists()
    steps = finish(arguments, output, whole)
    assert kept.isdisjoint(steps)
    assert len(kept) + len(steps) == len(done(output))


def test_killed_while_the_compiler_runs(arguments: list[str | Path], output: Path, whole: Manifest) -> None:
    with running_command(*arguments) as process:
        wait_for(process, lambda: compilers(process), "a compiler")
        processes = started_by(process)
        process.kill()
        assert process.wait(timeout=TIMEOUT) == -signal.SIGKILL
    eventually(lambda: not left(processes), f"the end of {processes}")
    kept = done(output)
    steps = finish(arguments, output, whole)
    assert kept.isdisjoint(steps)
    assert len(kept) + len(steps) == len(done(output))


@pytest.mark.parametrize(
    ("place", "count"),
    [
        ("wizardtpu_compile.bmodel.journal:Journal.append", None),  # the networks are in the file, unrecorded
        ("wizardtpu_compile.steps.workspace:Workspace.discard", None),  # there is a record, and all files yet
        ("wizardtpu_compile.bmodel.assembly:Assembly.finish", 0),
        ("wizardtpu_compile.bmodel.assembly:digest", 0),  # the file is finished
        ("wizardtpu_compile.bundle_writer:BundleWriter.finish", 0),
        ("wizardtpu_compile.staging:_exchange", 0),  # the whole bundle is there, under another name
        ("wizardtpu_compile.targets.tpu.build:Made.remove", None),  # and under its own
    ],
)
def test_killed_at_the_worst_moments(
    arguments: list[str | Path], output: Path, whole: Manifest, place: str, count: int | None
) -> None:
    """`count` is how many steps are left to do, where that is certain."""
    killed = run_killed(place, arguments)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    kept = done(output)
    if output.exists():
        assert Bundle.open(output).manifest.files == whole.files
        arguments = [*arguments, "--force"]
    steps = finish(arguments, output, whole)
    assert kept.isdisjoint(steps)
    assert count is None or len(steps) == count


def run_killed(place: str, arguments: list[str | Path]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.support.killed_compile", place, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)


@pytest.mark.parametrize("moment", ["the compiler runs", "networks are in the file"])
def test_interrupted(arguments: list[str | Path], output: Path, whole: Manifest, moment: str) -> None:
    """Ctrl-C: nothing runs any more when the command has ended."""
    with running_command(*arguments) as process:
        probe = a_record(output, ".add") if moment == "networks are in the file" else lambda: compilers(process)
        wait_for(process, probe, moment)
        processes = started_by(process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert left(processes) == []
    assert not output.exists()
    kept = done(output)
    steps = finish(arguments, output, whole)
    assert kept.isdisjoint(steps)
    assert len(kept) + len(steps) == len(done(output))


def test_a_second_build_of_the_same_bundle_is_refused(
    arguments: list[str | Path], output: Path, whole: Manifest
) -> None:
    with running_command(*arguments) as first:
        wait_for(first, a_record(output, ""), "a step")
        freeze(first)
        second = run_command(*arguments)
        first.send_signal(signal.SIGCONT)
        _, err = first.communicate(timeout=TIMEOUT)
    assert (second.returncode, second.stdout) == (1, "")
    assert f"is in use: process {first.pid} is building in it" in second.stderr
    assert first.returncode == 0, err
    assert Bundle.open(output).manifest.files == whole.files


def test_no_room_for_the_file(arguments: list[str | Path], output: Path, whole: Manifest) -> None:
    """No file may become larger than a limit that the last networks pass."""
    limit = whole.files[MODEL_NAME].bytes - 50_000
    blocked = ["sh", "-c", f'ulimit -f {limit // 512}; exec "$@"', "sh", *command_line(*arguments)]
    failed = subprocess.run(blocked, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert re.search(r"step \S+\.add failed: .*File too large", failed.stderr)
    assert "the same command goes on from there" in failed.stderr
    assert "Traceback" not in failed.stderr
    kept = done(output)
    assert "block_0_b1_t8_s32" in kept
    steps = finish(arguments, output, whole)
    assert kept.isdisjoint(steps)


def test_a_kept_file_that_lost_its_end(arguments: list[str | Path], output: Path, whole: Manifest) -> None:
    """Its step is done again, and no other one."""
    run_killed("wizardtpu_compile.bmodel.assembly:Assembly.add", [*arguments, "--jobs", "1"])
    kept = done(output)
    bmodel = workspace_of(output) / "steps" / "embedding_b1_t1" / "net.bmodel"
    bmodel.write_bytes(bmodel.read_bytes()[:-1])
    steps = finish(arguments, output, whole)
    assert kept.intersection(steps) == {"embedding_b1_t1"}


def test_a_bundle_file_that_lost_its_end(arguments: list[str | Path], output: Path, whole: Manifest) -> None:
    """What was in it whole stays; the rest is made anew."""
    run_killed("wizardtpu_compile.bmodel.assembly:Assembly.finish", arguments)
    model = workspace_of(output) / MODEL_NAME
    with model.open("r+b") as file:
        file.truncate(model.stat().st_size - 1)
    steps = finish(arguments, output, whole)
    assert "greedy_head_b1" in steps
    assert not [name for name in steps if name.startswith("embedding")]
