"""The vendor's front end for ONNX: Python modules for CPython 3.10 alone, in an environment of their own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from importlib.resources import as_file, files
from pathlib import Path

from wizardtpu_compile.errors import ToolchainError
from wizardtpu_compile.stage_progress import StageProgress

PYTHON = (3, 10)
ENVIRONMENT = "python"
"""Directory of the environment, in that of the toolchain."""

_VERSION = ".".join(map(str, PYTHON))
_PROBE = "import sys, venv, ensurepip; print(sys.implementation.name, *sys.version_info[:2])"
_WANTED = f"cpython {PYTHON[0]} {PYTHON[1]}"
_RESOURCES = files("wizardtpu_compile.toolchain")


def find_python(named: Path | None = None) -> Path:
    """A CPython 3.10: `named`, or the first that PATH, pyenv or uv know.

    Raises:
        ToolchainError: there is none; tells where was looked.
    """
    looked: list[str] = []
    for place, path in _candidates(named):
        problem = "nothing there" if path is None else _problem(path)
        if path is not None and problem is None:
            return path.absolute()
        looked.append(f"{place}: {problem}")
    raise ToolchainError(
        f"the front end for ONNX needs CPython {_VERSION} with its venv module; looked for it at\n  "
        + "\n  ".join(looked)
        + f"\n`uv python install {_VERSION}` or `pyenv install {_VERSION}` brings one, --python names one"
    )


def install_frontend(staging: Path, python: Path, progress: StageProgress) -> None:
    """Makes the environment in `staging`, with the versions the front end works with, each checked by its hash."""
    progress.start("installing the Python packages of the front end", None)
    environment = staging / ENVIRONMENT
    _run([str(python), "-m", "venv", str(environment)])
    with as_file(_RESOURCES / "frontend-requirements.txt") as requirements:
        pip = [
            str(environment / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        pip += [
            "--no-input",
            "--no-deps",
            "--require-hashes",
            "--only-binary=:all:",
            "--requirement",
            str(requirements),
        ]
        _run(pip)
    modules = environment / "lib" / f"python{_VERSION}" / "site-packages"
    with as_file(_RESOURCES / "stubs") as stubs:
        for stub in stubs.glob("*.py"):
            shutil.copy(stub, modules)


def _candidates(named: Path | None) -> Iterator[tuple[str, Path | None]]:
    """Where to look, in words, and what is there."""
    if named is not None:
        yield f"--python {named}", named
        return
    name = f"python{_VERSION}"
    found = shutil.which(name)
    yield f"{name} on PATH", Path(found) if found else None
    yield from _from_pyenv(name)
    uv = _output(["uv", "python", "find", _VERSION])
    yield f"uv python find {_VERSION}", Path(uv) if uv else None


def _from_pyenv(name: str) -> Iterator[tuple[str, Path | None]]:
    root = _output(["pyenv", "root"])
    if root is None:
        yield "pyenv root", None
        return
    pattern = Path("versions", f"{_VERSION}.*", "bin", name)
    found = sorted(Path(root).glob(str(pattern)))
    yield str(Path(root) / pattern), found[-1] if found else None


def _problem(python: Path) -> str | None:
    """What keeps `python` from being used, if anything."""
    version = _output([str(python), "-c", _PROBE])
    if version is None:
        return f"{python} does not run, or lacks the venv module (Debian: apt install python{_VERSION}-venv)"
    return None if version == _WANTED else f"{python} is {version}"


def _output(command: Sequence[str]) -> str | None:
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()


def _run(command: Sequence[str]) -> None:
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if result.returncode:
        said = "\n  ".join(result.stdout.strip().splitlines()[-5:])
        raise ToolchainError(f"the front end cannot be installed: {' '.join(command[:4])} failed\n  {said}")
