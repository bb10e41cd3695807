"""The vendor's wheel: bringing it here, checking it, unpacking what is needed of it."""

from __future__ import annotations

import fnmatch
import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

from wizardtpu_compile.errors import ToolchainError
from wizardtpu_compile.stage_progress import StageProgress
from wizardtpu_compile.toolchain import release
from wizardtpu_compile.toolchain.release import DISTRIBUTION, EXECUTABLE, NEVER, VERSION, WHEEL_NAME

_CHUNK = 1 << 20
_LOOKS = 0.2  # seconds between two looks at how much of a download is there


def download(directory: Path, progress: StageProgress) -> Path:
    """Brings the wheel into `directory` with this interpreter's pip, as the user configured it.

    Raises:
        ToolchainError: there is no pip, or it says why it failed.
    """
    if importlib.util.find_spec("pip") is None:
        raise ToolchainError(
            f"{sys.executable} has no pip to bring {WHEEL_NAME}; add it (`python -m ensurepip`, "
            "or `uv pip install pip`), or download that file by other means and name it with --wheel"
        )
    requirements = directory / "requirements.txt"
    requirements.write_text(f"{DISTRIBUTION}=={VERSION} --hash=sha256:{release.WHEEL_SHA256}\n", encoding="utf-8")
    progress.start(f"downloading {WHEEL_NAME}", release.WHEEL_BYTES)
    _pip(directory, requirements, progress)
    return directory / WHEEL_NAME


def check_wheel(path: Path, progress: StageProgress) -> None:
    """Raises ToolchainError unless `path` is the wheel, byte for byte."""
    progress.start("checking the wheel", release.WHEEL_BYTES)
    try:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                progress.advance(len(chunk))
            size = file.tell()
    except OSError as error:
        raise ToolchainError(f"{path}: {error.strerror}") from None
    if size < release.WHEEL_BYTES:
        raise ToolchainError(f"{path} is cut short: {size} bytes of {release.WHEEL_BYTES}; download it again")
    if digest.hexdigest() != release.WHEEL_SHA256:
        raise ToolchainError(
            f"{path} is not {WHEEL_NAME}: its sha256 is {digest.hexdigest()}, {release.WHEEL_SHA256} is needed"
        )


def unpack(wheel: Path, wanted: Sequence[str], directory: Path, progress: StageProgress) -> None:
    """Unpacks the members that match a pattern of `wanted` below `directory`; programs become executable."""
    with zipfile.ZipFile(wheel) as archive:
        members = [member for member in archive.infolist() if _is_wanted(member.filename, wanted)]
        progress.start("unpacking", sum(member.file_size for member in members))
        for member in members:
            path = Path(archive.extract(member, directory))
            if _matches(member.filename, EXECUTABLE):
                path.chmod(0o755)
            progress.advance(member.file_size)


def _is_wanted(name: str, wanted: Sequence[str]) -> bool:
    return not name.endswith("/") and _matches(name, wanted) and not _matches(name, NEVER)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _pip(directory: Path, requirements: Path, progress: StageProgress) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    # The wheel says it needs CPython 3.10: its programs do not, its Python modules are not what we are after.
    command += ["--no-deps", "--only-binary=:all:", "--require-hashes", "--ignore-requires-python"]
    command += ["--dest", str(directory), "--requirement", str(requirements)]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as words:
        # TMPDIR: where the file grows, on the disk it will stay on and where its size can be seen.
        environment = {**os.environ, "TMPDIR": str(directory)}
        with subprocess.Popen(command, env=environment, stdout=words, stderr=subprocess.STDOUT) as pip:
            try:
                _watch(pip, directory, progress)
            except BaseException:
                pip.kill()
                raise
        if pip.returncode:
            words.seek(0)
            raise ToolchainError(f"pip could not bring {WHEEL_NAME}: {_last_words(words.read())}")


def _watch(pip: subprocess.Popen[bytes], directory: Path, progress: StageProgress) -> None:
    seen = 0
    while pip.poll() is None:
        time.sleep(_LOOKS)
        there = max((_size(path) for path in directory.rglob("*.whl")), default=0)
        progress.advance(max(there - seen, 0))
        seen = max(there, seen)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # pip moves it when it is whole
        return 0


def _last_words(text: str) -> str:
    return " ".join(line.strip() for line in text.strip().splitlines()[-3:]) or "it said nothing"
