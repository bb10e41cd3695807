"""Installing a toolchain, from a wheel made here: what is kept of it, and what ends an install."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from wizardtpu_compile.errors import ToolchainError
from wizardtpu_compile.toolchain import release
from wizardtpu_compile.toolchain.installer import InstallOptions, install
from wizardtpu_compile.toolchain.release import COMPILING, VERSION, WHEEL_NAME
from wizardtpu_compile.toolchain.toolchain import Toolchain

LIBRARIES = "tpu_mlir/lib"
UNWANTED = [
    f"{LIBRARIES}/libbackend_bm1688.so",
    f"{LIBRARIES}/third_party/libc.so.6",
    f"{LIBRARIES}/third_party/libpthread.so.0",
    "tpu_mlir/python/tools/model_deploy.py",
]
PPL = "tpu_mlir/cross_toolchains/ppl_compile"
# An install in a process of its own, of a wheel that need not be the vendor's, ended at a stage by its own hand.
KILLED = """
import os, signal, sys
from pathlib import Path
from wizardtpu_compile.toolchain import release
from wizardtpu_compile.toolchain.installer import InstallOptions, install
release.WHEEL_SHA256, release.WHEEL_BYTES = sys.argv[3], int(sys.argv[4])
class Deadly:
    def start(self, stage, work):
        if stage == sys.argv[5]:
            os.kill(os.getpid(), getattr(signal, sys.argv[6]))
    def advance(self, work): ...
    def close(self): ...
install(Path(sys.argv[1]), InstallOptions(wheel=Path(sys.argv[2])), Deadly())
"""


class Stages:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.work = 0

    def start(self, stage: str, _work: int | None) -> None:
        self.seen.append(stage)

    def advance(self, work: int) -> None:
        self.work += work

    def close(self) -> None: ...


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def write_wheel(directory: Path) -> Path:
    """A wheel with a few members of the vendor's, those that are needed and others."""
    path = directory / WHEEL_NAME
    information = f"tpu_mlir-{VERSION}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for name in [*(pattern.replace("*", "something") for pattern in COMPILING[:-1]), *UNWANTED]:
            archive.writestr(name, f"content of {name}")
        archive.writestr(f"{information}/METADATA", f"Metadata-Version: 2.1\nName: tpu_mlir\nVersion: {VERSION}\n")
        archive.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{information}/RECORD", "")
    return path


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That wheel, taken for the vendor's."""
    path = write_wheel(tmp_path)
    monkeypatch.setattr(release, "WHEEL_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(release, "WHEEL_BYTES", path.stat().st_size)
    return path


def kill_an_install(directory: Path, wheel: Path, stage: str, number: str) -> int:
    arguments = [
        str(directory),
        str(wheel),
        release.WHEEL_SHA256,
        str(release.WHEEL_BYTES),
        stage,
        number,
    ]
    return subprocess.run(
        [sys.executable, "-c", KILLED, *arguments], stderr=subprocess.DEVNULL, check=False
    ).returncode


def test_what_is_needed_is_unpacked_and_nothing_else(tmp_path: Path, wheel: Path) -> None:
    toolchain = install(tmp_path / "toolchain", InstallOptions(wheel), Stages())
    assert toolchain == Toolchain.find(tmp_path / "toolchain")
    assert toolchain.compiler.read_text() == "content of tpu_mlir/bin/tpuc-opt"
    assert not [name for name in UNWANTED if (toolchain.directory / name).exists()]
    assert names(toolchain.directory) == [
        "kernels",
        "simulator",
        "toolchain.json",
        "tpu_mlir",
        f"tpu_mlir-{VERSION}.dist-info",
    ]


def test_programs_are_executable(tmp_path: Path, wheel: Path) -> None:
    directory = install(tmp_path / "toolchain", InstallOptions(wheel), Stages()).directory
    assert os.access(directory / "tpu_mlir/bin/tpuc-opt", os.X_OK)
    assert os.access(directory / PPL / "bin/something", os.X_OK)
    assert not os.access(directory / LIBRARIES / "libcpuop.so", os.X_OK)


def test_the_simulators_directory_is_complete(tmp_path: Path, wheel: Path) -> None:
    simulator = install(tmp_path / "toolchain", InstallOptions(wheel), Stages()).simulator
    expected = ["libbmlib.so.0", "libbmrt.so", "libbmrt.so.1.0", "libcmodel.so", "libcmodel_bm1684x.so"]
    assert names(simulator) == expected
    assert (simulator / "libcmodel.so").read_text() == f"content of {LIBRARIES}/libcmodel_bm1684x.so"
    assert (simulator / "libbmrt.so.1.0").read_text() == f"content of {LIBRARIES}/libbmrt.so"


def test_stages_are_told(tmp_path: Path, wheel: Path) -> None:
    stages = Stages()
    install(tmp_path / "toolchain", InstallOptions(wheel), stages)
    assert stages.seen == ["checking the wheel", "unpacking", "writing it to disk"]
    assert stages.work > wheel.stat().st_size


def test_one_that_is_there_is_left_alone_unless_forced(tmp_path: Path, wheel: Path) -> None:
    directory = tmp_path / "toolchain"
    install(directory, InstallOptions(wheel), Stages())
    compiler = directory / "tpu_mlir/bin/tpuc-opt"
    compiler.write_text("changed")
    install(directory, InstallOptions(tmp_path / "no wheel"), Stages())
    assert compiler.read_text() == "changed"
    install(directory, InstallOptions(wheel, force=True), Stages())
    assert compiler.read_text() == "content of tpu_mlir/bin/tpuc-opt"
    assert names(tmp_path) == sorted(["toolchain", WHEEL_NAME])


def test_what_is_no_toolchain_is_never_replaced(tmp_path: Path, wheel: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    with pytest.raises(ToolchainError, match="not a toolchain"):
        install(tmp_path / "mine", InstallOptions(wheel, force=True), Stages())
    assert (tmp_path / "mine" / "file").exists()


def test_a_path_the_vendors_programs_cannot_take_is_refused(tmp_path: Path, wheel: Path) -> None:
    with pytest.raises(ToolchainError, match="spaces"):
        install(tmp_path / "my toolchain", InstallOptions(wheel), Stages())


def test_another_wheel_is_refused(tmp_path: Path, wheel: Path) -> None:
    content = bytearray(wheel.read_bytes())
    content[100] ^= 1
    wheel.write_bytes(content)
    with pytest.raises(ToolchainError, match=f"sha256 is {hashlib.sha256(content).hexdigest()}"):
        install(tmp_path / "toolchain", InstallOptions(wheel), Stages())
    assert names(tmp_path) == [WHEEL_NAME]


def test_a_truncated_wheel_is_called_that(tmp_path: Path, wheel: Path) -> None:
    size = wheel.stat().st_size
    os.truncate(wheel, size - 1)
    with pytest.raises(ToolchainError, match=f"cut short: {size - 1} bytes of {size}"):
        install(tmp_path / "toolchain", InstallOptions(wheel), Stages())


def test_a_missing_wheel_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match=r"nowhere\.whl: No such file"):
        install(tmp_path / "toolchain", InstallOptions(tmp_path / "nowhere.whl"), Stages())


@pytest.mark.parametrize("stage", ["checking the wheel", "unpacking", "writing it to disk"])
def test_a_killed_install_leaves_no_toolchain_and_the_next_cleans_up(
    tmp_path: Path, wheel: Path, stage: str
) -> None:
    directory = tmp_path / "toolchain"
    assert kill_an_install(directory, wheel, stage, "SIGKILL") == -signal.SIGKILL
    assert (tmp_path / ".toolchain.partial").is_dir()
    with pytest.raises(ToolchainError, match="no toolchain"):
        Toolchain.find(directory)
    install(directory, InstallOptions(wheel), Stages())
    assert names(tmp_path) == sorted(["toolchain", WHEEL_NAME])


def test_an_interrupted_install_leaves_nothing(tmp_path: Path, wheel: Path) -> None:
    assert kill_an_install(tmp_path / "toolchain", wheel, "writing it to disk", "SIGINT") != 0
    assert names(tmp_path) == [WHEEL_NAME]


def test_pip_brings_the_wheel_from_where_the_user_says(
    tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    stages = Stages()
    toolchain = install(tmp_path / "toolchain", InstallOptions(), stages)
    assert toolchain.compiler.exists()
    assert stages.seen[0] == f"downloading {WHEEL_NAME}"


def test_pip_says_why_it_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ToolchainError, match=f"tpu_mlir=={VERSION}"):
        install(tmp_path / "toolchain", InstallOptions(), Stages())
    assert names(tmp_path) == []


def test_an_interpreter_without_pip_says_what_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pip", None)
    with pytest.raises(ToolchainError, match=r"no pip.*--wheel"):
        install(tmp_path / "toolchain", InstallOptions(), Stages())
