"""Installs the toolchain: the directory appears whole or not at all, whatever ends the process."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from wizardtpu_compile.errors import ToolchainError
from wizardtpu_compile.stage_progress import StageProgress
from wizardtpu_compile.staging import staged
from wizardtpu_compile.toolchain import release
from wizardtpu_compile.toolchain.frontend import install_frontend
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
    with staged(directory, lambda: _check_place(directory)) as staging:
        _fill(staging, options, progress)
    return Toolchain.find(directory)


def _is_installed(directory: Path, options: InstallOptions) -> bool:
    """Whether nothing is to be done; refuses to replace unasked another version."""
    if options.force or not (directory / MARKER_NAME).is_file():
        return False
    return Toolchain.find(directory).frontend or options.frontend_python is None


def _check_place(directory: Path) -> None:
    """Refuses to replace what is no toolchain."""
    if not os.path.lexists(directory) or (directory.is_dir() and not any(directory.iterdir())):
        return
    if not (directory / MARKER_NAME).is_file():
        raise ToolchainError(f"{directory} holds something that is not a toolchain; choose another directory")
    if directory.is_symlink():
        raise ToolchainError(f"{directory} is a symbolic link, which is not replaced; name the directory itself")


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
    _write_marker(staging, options)
    progress.start("writing it to disk", None)


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
    (staging / MARKER_NAME).write_text(json.dumps(marker, indent=2) + "\n", encoding="utf-8")
