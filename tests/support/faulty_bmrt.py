"""The simulator's libraries with launches that hang, fail or do nothing when told to (see faulty_bmrt.c)."""

from __future__ import annotations

import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")


def make_faulty_library(simulator: Path, directory: Path) -> Path:
    """Fills a directory, to be used in place of the simulator's."""
    directory.mkdir(parents=True)
    for path in simulator.iterdir():
        if path.name != "libbmrt.so":
            (directory / path.name).symlink_to(path.resolve())
    real = (simulator / "libbmrt.so").resolve()
    command = [
        "gcc",
        "-shared",
        "-fPIC",
        "-Wall",
        "-Werror",
        "-O2",
        str(SOURCE),
        "-o",
        str(directory / "libbmrt.so"),
        "-ldl",
    ]
    subprocess.run([*command, "-Wl,--no-as-needed", str(real), f"-Wl,-rpath,{real.parent}"], check=True)
    return directory
