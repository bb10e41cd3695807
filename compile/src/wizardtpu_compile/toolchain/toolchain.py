"""Where the vendor's toolchain is, and the environment its programs run in."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wizardtpu_compile.errors import ToolchainError
from wizardtpu_compile.toolchain.release import LAYOUT, VERSION

MARKER_NAME = "toolchain.json"
_VARIABLE = "WIZARDTPU_TOOLCHAIN"
_INSTALL = "wizardtpu-compile toolchain install"


@dataclass(frozen=True)
class Toolchain:
    """An installed toolchain: a directory that is only read, but for `kernels`, and may be shared by users."""

    directory: Path
    version: str
    wheel_sha256: str
    frontend: bool
    """Whether the vendor's front end for ONNX is installed, with a Python of its own."""

    @classmethod
    def find(cls, directory: Path | None = None) -> Toolchain:
        """The toolchain in `directory`, else in the default one.

        Raises:
            ToolchainError: none is there, or one of another version.
        """
        place = (default_directory() if directory is None else directory).absolute()
        marker = _read_marker(place)
        if (marker.get("version"), marker.get("layout")) != (VERSION, LAYOUT):
            raise ToolchainError(
                f"{place} holds version {marker.get('version')} of the toolchain (layout {marker.get('layout')}), "
                f"version {VERSION} (layout {LAYOUT}) is needed; `{_install_command(place)} --force` replaces it"
            )
        return cls(place, VERSION, str(marker.get("wheel_sha256")), bool(marker.get("frontend")))

    @property
    def package(self) -> Path:
        """What was unpacked of the vendor's `tpu_mlir` package."""
        return self.directory / "tpu_mlir"

    @property
    def compiler(self) -> Path:
        return self.package / "bin" / "tpuc-opt"

    @property
    def simulator(self) -> Path:
        """The runtime's libraries with the simulator for a device: what `BmrtLibrary.load` takes."""
        return self.directory / "simulator"

    @property
    def kernels(self) -> Path:
        """Kernels that networks needed before, compiled; see `kernels.py`."""
        return self.directory / "kernels"

    @property
    def python(self) -> Path | None:
        """The interpreter of the front end for ONNX, if that is installed."""
        return self.directory / "python" / "bin" / "python" if self.frontend else None

    def environment(self) -> dict[str, str]:
        """The whole environment of the compiler; of the caller's it has the search path and TMPDIR alone.

        No LD_LIBRARY_PATH: the programs find their libraries themselves, and the host's cmake and compiler, which
        they call for kernels, would be given the vendor's old libstdc++.
        """
        ppl = self.package / "cross_toolchains" / "ppl_compile"
        inherited = {name: os.environ[name] for name in ("TMPDIR",) if name in os.environ}
        return inherited | {
            "PATH": os.pathsep.join([str(ppl / "bin"), os.environ.get("PATH", os.defpath)]),
            "HOME": str(self.directory),
            "TPUC_ROOT": str(self.package),
            "PPL_PROJECT_ROOT": str(ppl),
            "PPL_RUNTIME_PATH": str(ppl / "deps"),
            "PPL_CACHE_PATH": str(self.kernels),
            "PPL_WORK_PATH": str(self.kernels),
        }

    def python_environment(self) -> dict[str, str]:
        """The whole environment of the front end's Python, whose programs are in `package/python/tools`."""
        environment = self.environment()
        tools = [self.package / "bin", self.package / "python" / "tools", self.directory / "python" / "bin"]
        modules = [self.directory, self.package, self.package / "python"]
        return environment | {
            "PATH": os.pathsep.join([*map(str, tools), environment["PATH"]]),
            "PYTHONPATH": os.pathsep.join(map(str, modules)),
            "PYTHONDONTWRITEBYTECODE": "1",
        }


def default_directory() -> Path:
    """$WIZARDTPU_TOOLCHAIN, else a directory of this version in the user's cache."""
    if named := os.environ.get(_VARIABLE):
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "wizardtpu" / f"toolchain-{VERSION}"


def _read_marker(directory: Path) -> dict[str, Any]:
    path = directory / MARKER_NAME
    try:
        marker = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ToolchainError(
            f"there is no toolchain in {directory}: `{_install_command(directory)}` brings it, "
            f"${_VARIABLE} names another place"
        ) from None
    except (OSError, ValueError) as error:
        raise ToolchainError(f"{path} cannot be read ({error}); `{_install_command(directory)} --force`") from None
    return marker if isinstance(marker, dict) else {}


def _install_command(directory: Path) -> str:
    named = "" if directory == default_directory().absolute() else f" --directory {directory}"
    return _INSTALL + named
