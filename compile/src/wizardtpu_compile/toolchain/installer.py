"""Installs the toolchain: the directory appears whole or not at all, whatever ends the process."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wizardtpu_compile.errors import ToolchainError
from wizardtpu_compile.toolchain import release
from wizardtpu_compile.toolchain.frontend import install_frontend
from wizardtpu_compile.toolchain.progress import StageProgress
from wizardtpu_compile.toolchain.release import COMPILING, LAYOUT, SIMULATOR, VERSION, WITH_FRONTEND
from wizardtpu_compile.toolchain.toolchain import MARKER_NAME, Toolchain
from wizardtpu_compile.toolchain.wheel import check_wheel, download, unpack

_PLAIN_PATH = re.compile(r"[\w./+@%,=:-]+")


@dataclass(frozen=True)
class InstallOptions:
    """What to install, and from where."""

    wheel: Path | None = None
    """The vendor's wheel if it is here already; else pip brings it."""
    frontend_python: Path | None = None
    """A CPython 3.10: the front end for ONNX is installed as well."""
    force: bool = False
    """Install again; what is there is replaced, its front end too."""


def install(directory: Path, options: InstallOptions, progress: StageProgress) -> Toolchain:
    """The toolchain in `directory`, put there unless it is there already.

    Raises:
        ToolchainError: `directory` holds something else or cannot hold it, or the wheel cannot be had or is wrong.
    """
    directory = directory.absolute()
    if _is_installed(directory, options):
        return Toolchain.find(directory)
    if not _PLAIN_PATH.fullmatch(str(directory)):
        raise ToolchainError(f"{directory}: the vendor's programs fail in paths with spaces and the like")
    with _staged(directory) as staging:
        _fill(staging, options, progress)
    return Toolchain.find(directory)


def _is_installed(directory: Path, options: InstallOptions) -> bool:
    """Whether nothing is to be done; refuses to replace what is no toolchain, or unasked another version."""
    if not os.path.lexists(directory) or (directory.is_dir() and not any(directory.iterdir())):
        return False
    if not (directory / MARKER_NAME).is_file():
        raise ToolchainError(f"{directory} holds something that is not a toolchain; choose another directory")
    if not options.force and (Toolchain.find(directory).frontend or options.frontend_python is None):
        return True
    if directory.is_symlink():
        raise ToolchainError(f"{directory} is a symbolic link, which is not replaced; name the directory itself")
    return False


def _fill(staging: Path, options: InstallOptions, progress: StageProgress) -> None:
    incoming = staging / "download"
    incoming.mkdir()
    wheel = options.wheel or download(incoming, progress)
    check_wheel(wheel, progress)
    unpack(wheel, WITH_FRONTEND if options.frontend_python else COMPILING, staging, progress)
    shutil.rmtree(incoming)
    _make_simulator(staging)
    # ppl-compile looks for its libraries there, and would otherwise take the host's, which may be older.
    (staging / "tpu_mlir/cross_toolchains/ppl_compile/lib").symlink_to("../../lib/third_party")
    (staging / "kernels").mkdir()
    if options.frontend_python:
        install_frontend(staging, options.frontend_python, progress)
    progress.start("writing it to disk", None)
    _sync_tree(staging)
    _write_marker(staging, options)


def _make_simulator(staging: Path) -> None:
    """The directory the runtime is loaded from: its library opens libcmodel.so, whose target decides the chip."""
    simulator = staging / "simulator"
    simulator.mkdir()
    for member in SIMULATOR:
        name = Path(member).name
        os.link(staging / member, simulator / name)
    (simulator / "libbmrt.so.1.0").symlink_to("libbmrt.so")
    (simulator / "libcmodel.so").symlink_to("libcmodel_bm1684x.so")


def _write_marker(staging: Path, options: InstallOptions) -> None:
    marker = {
        "version": VERSION,
        "layout": LAYOUT,
        "wheel_sha256": release.WHEEL_SHA256,
        "frontend": options.frontend_python is not None,
    }
    path = staging / MARKER_NAME
    path.write_text(json.dumps(marker, indent=2) + "\n", encoding="utf-8")
    _sync(path)
    _sync(staging)


@contextmanager
def _staged(directory: Path) -> Iterator[Path]:
    """An empty, locked directory beside `directory` that takes its place when the block ends, or vanishes."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    staging = directory.parent / f".{directory.name}.partial"
    staging.mkdir(exist_ok=True)
    lock = os.open(staging, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(lock, staging)
        _empty(staging)
        try:
            yield staging
            _take_place(staging, directory)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
    finally:
        os.close(lock)


def _take_place(staging: Path, directory: Path) -> None:
    """What a kill leaves between the renames is no toolchain: the next install starts anew and removes it."""
    replaced = directory.parent / f".{directory.name}.replaced"
    shutil.rmtree(replaced, ignore_errors=True)
    if directory.exists():
        directory.rename(replaced)
    staging.rename(directory)
    _sync(directory.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def _empty(staging: Path) -> None:
    """Removes what an install that was killed left behind."""
    for path in staging.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _lock(descriptor: int, staging: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ToolchainError(f"{staging} is in use: another install of the same toolchain is running") from None


def _sync_tree(directory: Path) -> None:
    for folder, _, names in os.walk(directory):
        for name in names:
            if not (Path(folder) / name).is_symlink():
                _sync(Path(folder) / name)
        _sync(Path(folder))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
