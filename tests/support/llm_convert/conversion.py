"""Bmodels of the vendor's `llm_convert.py`, made by that script itself.

It needs PyTorch, safetensors and GNU parallel, of which `stand_ins` has the little that it uses.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from wizardtpu_compile.frontend.tools import find_frontend
from wizardtpu_compile.steps.process import run_logged
from wizardtpu_compile.toolchain.kernels import kernel_cache
from wizardtpu_compile.toolchain.toolchain import Toolchain

CONTEXT, CHUNK = 32, 8

LOGITS = ("--do_sample", "--max_input_length", str(CHUNK))
"""The head gives logits. Up to `CHUNK` tokens of a prompt are read at once, with padding; others singly."""
HISTORY = ("--use_history_kv", "--chunk_length", str(CHUNK))
"""The head gives the most likely token. Prompts are read in chunks of up to `CHUNK` tokens, without padding."""

_STAND_INS = Path(__file__).with_name("stand_ins")


@dataclass(frozen=True)
class Converted:
    """What the script leaves behind.

    Attributes:
        config: a directory with all files of the checkpoint but the weights.
    """

    bmodel: Path
    config: Path


def convert(toolchain: Toolchain, checkpoint: Path, directory: Path, *options: str, quantize: str) -> Converted:
    """Converts a checkpoint of few layers, which takes 10 to 30 seconds.

    Args:
        toolchain: one with the front end for ONNX, whose Python runs the script.
        checkpoint: of an architecture that the script knows.
        directory: where everything goes; is made.
        options: those of the script, as the constants of this module.
        quantize: the script's name of the numbers: f16, w4bf16 and so on.
    """
    directory.mkdir(parents=True)
    script = toolchain.package / "python" / "tools" / "llm_convert.py"
    command = [str(find_frontend(toolchain)), str(script), "-m", str(checkpoint), "-o", str(directory)]
    command += ["-s", str(CONTEXT), "-q", quantize, *options]
    log = directory / "log.txt"
    with kernel_cache(toolchain.kernels) as cache:
        finished = run_logged(command, cwd=directory, env=_environment(toolchain) | cache, log=log)
    assert finished.code == 0, log.read_text()[-3000:]
    (bmodel,) = directory.glob("*.bmodel")
    (parts,) = (path for path in directory.iterdir() if path.is_dir() and path.name != "config")
    shutil.rmtree(parts)
    return Converted(bmodel, directory / "config")


def _environment(toolchain: Toolchain) -> dict[str, str]:
    environment = toolchain.python_environment()
    environment["PATH"] = os.pathsep.join([str(_STAND_INS / "bin"), environment["PATH"]])
    environment["PYTHONPATH"] = os.pathsep.join([str(_STAND_INS), environment["PYTHONPATH"]])
    return environment
