"""The real toolchain: it proves itself, and its failures are told so that a person can mend them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from wizardtpu_compile.errors import ToolchainError
from wizardtpu_compile.stage_progress import StageLines
from wizardtpu_compile.toolchain.check import check
from wizardtpu_compile.toolchain.compiler import compile_network
from wizardtpu_compile.toolchain.kernels import kernel_cache
from wizardtpu_compile.toolchain.sample import Sample
from wizardtpu_compile.toolchain.toolchain import MARKER_NAME, Toolchain

from tests.support.eventually import eventually
from tests.support.toolchain import require_onnx_frontend

WEIGHTS = {"w": (64, 64), "b": (64,)}
COMPILE = """
import sys
from pathlib import Path
from wizardtpu_compile.toolchain.compiler import compile_network
from wizardtpu_compile.toolchain.toolchain import Toolchain
toolchain, mlir = map(Path, sys.argv[1:])
compile_network(Toolchain.find(toolchain), mlir, mlir.with_suffix(".bmodel"), mlir.with_suffix(".log"))
"""


@pytest.fixture
def fresh(toolchain: Toolchain, tmp_path: Path) -> Toolchain:
    """The same toolchain without the kernels it has kept."""
    directory = tmp_path / "fresh"
    (directory / "kernels").mkdir(parents=True)
    for name in ("tpu_mlir", "simulator", MARKER_NAME):
        (directory / name).symlink_to(toolchain.directory / name)
    return Toolchain.find(directory)


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed process leaves is left here."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A directory with a space in its name, which must do no harm."""
    (tmp_path / "my work").mkdir()
    return tmp_path / "my work"


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def compilers(toolchain: Toolchain, work: Path) -> list[str]:
    """Processes of the compiler that run below `work`."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            program, place = (process / "exe").readlink(), (process / "cwd").readlink()
        except OSError:  # no process, or one that has ended
            continue
        if program == toolchain.compiler.resolve() and work in place.parents:
            found.append(process.name)
    return found


def end(pid_file: Path) -> None:
    """Ends the process whose id was written there, if it still runs."""
    if pid_file.exists():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid_file.read_text()), signal.SIGKILL)


def write_onnx(path: Path) -> None:
    """A product and an addition, in a version of ONNX that the front end knows."""
    weights = [numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in WEIGHTS.items()]
    nodes = [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Add", ["m", "b"], ["y"])]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 8, 64]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "net", values[:1], values[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8), path)


def run_tool(toolchain: Toolchain, directory: Path, name: str, arguments: str) -> None:
    tool = toolchain.package / "python" / "tools" / f"{name}.py"
    with kernel_cache(toolchain.kernels) as cache:
        result = subprocess.run(
            [str(toolchain.python), str(tool), *arguments.split()],
            env=toolchain.python_environment() | cache,
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
        )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]


def test_it_compiles_and_simulates_correctly(toolchain: Toolchain) -> None:
    proof = check(toolchain, StageLines())
    assert proof.similarity["f16"] > 0.9999
    assert proof.similarity["bf16"] > 0.999


def test_a_compile_leaves_the_bmodel_and_the_log_alone(fresh: Toolchain, work: Path) -> None:
    mlir = Sample("f16").write(work)
    weights = (work / "sample.npz").read_bytes()
    compiled = compile_network(fresh, mlir, work / "net.bmodel", work / "net.log")
    assert names(work) == ["net.bmodel", "net.log", "sample.mlir", "sample.npz"]
    assert (work / "sample.npz").read_bytes() == weights
    assert compiled.cycles > 1000
    assert compiled.seconds > 0
    assert compiled.peak_memory > 10_000_000
    assert [path.name.isdecimal() for path in fresh.kernels.iterdir()] == [True]


def test_a_read_only_toolchain_compiles(fresh: Toolchain, work: Path) -> None:
    fresh.kernels.rmdir()
    compile_network(fresh, Sample("f16").write(work), work / "net.bmodel", work / "net.log")
    assert (work / "net.bmodel").exists()


def test_broken_text_is_told_with_the_place_and_a_command_that_shows_it(fresh: Toolchain, work: Path) -> None:
    mlir = Sample("f16").write(work)
    mlir.write_text(mlir.read_text().replace("%norm, %weight", "%norm, %wait"))
    with pytest.raises(ToolchainError, match="use of undeclared SSA value name") as error:
        compile_network(fresh, mlir, work / "net.bmodel", work / "net.log")
    assert names(work) == ["net.log", "sample.mlir", "sample.npz"]
    assert str(work / "net.log") in str(error.value)
    command = str(error.value).splitlines()[-1].strip()
    again = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert again.returncode != 0
    assert "use of undeclared SSA value name" in again.stderr


def test_the_command_of_a_failure_compiles_what_is_mended(fresh: Toolchain, work: Path) -> None:
    mlir = Sample("f16").write(work)
    whole = mlir.read_text()
    mlir.write_text(whole.replace("tpu.LayerNorm", "tpu.NoSuchThing"))
    with pytest.raises(ToolchainError) as error:
        compile_network(fresh, mlir, work / "net.bmodel", work / "net.log")
    mlir.write_text(whole)
    subprocess.run(str(error.value).splitlines()[-1].strip(), shell=True, capture_output=True, check=True)
    assert (work / "addressed.mlir").exists()


def test_weights_may_lie_elsewhere(fresh: Toolchain, work: Path) -> None:
    mlir = Sample("f16").write(work)
    (work / "weights").mkdir()
    (work / "sample.npz").rename(work / "weights" / "shared.npz")
    (work / "text").mkdir()
    moved = work / "text" / "net.mlir"
    moved.write_text(mlir.read_text().replace("sample.npz", "../weights/shared.npz"))
    compile_network(fresh, moved, work / "net.bmodel", work / "net.log")
    assert (work / "net.bmodel").exists()


def test_a_missing_weight_file_is_named(fresh: Toolchain, work: Path) -> None:
    mlir = Sample("f16").write(work)
    (work / "sample.npz").unlink()
    with pytest.raises(ToolchainError, match=r"sample\.npz, the weight file of sample\.mlir, is missing"):
        compile_network(fresh, mlir, work / "net.bmodel", work / "net.log")


def test_missing_cmake_is_named_and_not_held_against_the_next_compile(
    fresh: Toolchain, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for folder in ("/usr/bin", "/bin"):
        for program in Path(folder).iterdir():
            if program.name != "cmake" and not (programs / program.name).is_symlink():
                (programs / program.name).symlink_to(program)
    mlir = Sample("f16").write(work)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(programs))
        with pytest.raises(ToolchainError, match="lacks cmake: apt install cmake"):
            compile_network(fresh, mlir, work / "net.bmodel", work / "net.log")
    compile_network(fresh, mlir, work / "net.bmodel", work / "net.log")
    assert (work / "net.bmodel").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_compiler_outlives_a_compile(
    fresh: Toolchain, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    slow = tmp_path / "programs" / "cmake"
    slow.parent.mkdir()
    slow.write_text(
        f"#!/bin/sh\necho $$ > {tmp_path}/pid.new && mv {tmp_path}/pid.new {tmp_path}/pid\nexec sleep 600\n"
    )
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    arguments = [str(fresh.directory), str(Sample("f16").write(work))]
    process = subprocess.Popen([sys.executable, "-c", COMPILE, *arguments], stderr=subprocess.DEVNULL)
    try:
        eventually((tmp_path / "pid").exists, "a compiler waiting for cmake")
        assert compilers(fresh, work)
        process.send_signal(number)
        process.wait()
        eventually(lambda: not compilers(fresh, work), "no compiler left")
        if number == signal.SIGINT:
            assert names(work) == ["sample.log", "sample.mlir", "sample.npz"]
    finally:
        process.kill()
        process.wait()
        end(tmp_path / "pid")


def test_the_front_end_converts_and_deploys_a_network(work: Path) -> None:
    toolchain = require_onnx_frontend()
    write_onnx(work / "net.onnx")
    run_tool(toolchain, work, "model_transform", "--model_name net --model_def net.onnx --mlir net.mlir")
    run_tool(toolchain, work, "model_deploy", "--mlir net.mlir --chip bm1684x --quantize F16 --model net.bmodel")
    assert (work / "net.bmodel").stat().st_size > 0
