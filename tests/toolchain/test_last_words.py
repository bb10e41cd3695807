"""The vendor's runtime ends the process when the device has no memory left; its last words are in the log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from wizardtpu_compile.toolchain.toolchain import Toolchain

from tests.support.doubling_network import compile_doubling_network

PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from wizardtpud.device.bmrt import BmrtLibrary, BmrtRuntime
from wizardtpud.device.vendor.memory_budget import MemoryBudget
from wizardtpud.observability.stdout_capture import capture_stdout

capture_stdout("debug", "json")
runtime = BmrtRuntime(Path(sys.argv[2]), BmrtLibrary.load(Path(sys.argv[1])))
runtime._device.memory = MemoryBudget(0, None)  # which would refuse what is not there
while True:
    runtime.allocate((2**26,), np.dtype(np.float32))
"""


def test_no_memory(toolchain: Toolchain, tmp_path: Path) -> None:
    model = compile_doubling_network(toolchain, tmp_path, "f16")
    command = [sys.executable, "-c", PROGRAM, str(toolchain.simulator), str(model)]
    memory = {"CMODEL_GLOBAL_MEM_SIZE": "0x10000000"}
    ended = subprocess.run(command, capture_output=True, timeout=120, check=False, env=os.environ | memory)

    assert ended.returncode not in (0, 1), "the runtime ends the process, not Python"
    assert ended.stdout == b""
    records = [json.loads(line) for line in ended.stderr.splitlines()]
    said = {record["text"]: record["level"] for record in records}
    assert said["begin to cmodel init..."] == "debug"
    assert said["Memory exhausted: cannot find a slot."] == "warning"
    assert any(text.startswith("ASSERT ") and level == "error" for text, level in said.items())
