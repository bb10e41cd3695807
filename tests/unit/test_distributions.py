"""What the four distributions hold, built from copies of their folders."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "proto": "wizardtpu",
    "daemon": "wizardtpud",
    "client": "wizardtpu_client",
    "compile": "wizardtpu_compile",
}


def copied(folder: str, to: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__", "node_modules", "*_pb2*", "model.safetensors")
    return shutil.copytree(ROOT / folder, to / folder, ignore=ignored)


def build(source: Path, kind: str) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", "dist"]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=60)
    return next((source / "dist").iterdir())


def wheel(folder: str, to: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(build(copied(folder, to), "wheel"))


@pytest.mark.parametrize("folder", PACKAGES)
def test_a_wheel_holds_its_package_alone(tmp_path: Path, folder: str) -> None:
    with wheel(folder, tmp_path) as built:
        names = built.namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} <= {PACKAGES[folder], "wizardtpu_proto"}
    assert f"{PACKAGES[folder]}/py.typed" in names


def test_the_wire_comes_with_messages_stubs_types_and_source(tmp_path: Path) -> None:
    with wheel("proto", tmp_path) as built:
        names = {name.removeprefix("wizardtpu/v1/") for name in built.namelist()}
    stubs = {f"generation_pb2{kind}" for kind in (".py", ".pyi", "_grpc.py", "_grpc.pyi")}
    assert stubs | {"generation.proto"} <= names


def test_the_wire_is_built_where_pip_puts_the_generator(tmp_path: Path) -> None:
    """An isolated build has its scripts on PATH, and none beside the interpreter."""
    source = copied("proto", tmp_path)
    program = (
        "import runpy, sysconfig; sysconfig.get_path = lambda _: '/nowhere'; "
        "runpy.run_path('generate.py', run_name='__main__')"
    )
    plugin = shutil.which("protoc-gen-mypy_grpc", path=sysconfig.get_path("scripts"))
    assert plugin
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "protoc-gen-mypy_grpc").symlink_to(plugin)
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    subprocess.run([sys.executable, "-c", program], cwd=source, env=environment, check=True, timeout=60)
    assert (source / "wizardtpu" / "v1" / "generation_pb2_grpc.pyi").is_file()


def test_the_client_needs_grpc_and_protobuf_alone(tmp_path: Path) -> None:
    with wheel("client", tmp_path) as built:
        metadata = built.read("wizardtpu_client-0.1.0.dist-info/METADATA").decode()
    needed = [line.split()[1] for line in metadata.splitlines() if line.startswith("Requires-Dist:")]
    assert sorted(name.split(">")[0].split("=")[0] for name in needed) == ["grpcio", "protobuf", "wizardtpu-proto"]


def test_the_demonstration_model_is_in_no_distribution(tmp_path: Path) -> None:
    with tarfile.open(build(copied("compile", tmp_path), "sdist")) as built:
        folders = {name.split("/")[1] for name in built.getnames()}
    assert "src" in folders
    assert folders <= {"src", "README.md", "pyproject.toml", "PKG-INFO", ".gitignore"}
