"""The vendor's toolchain, for tests that compile and simulate."""

from __future__ import annotations

import os
from pathlib import Path

from wizardtpu_compile.errors import ToolchainError
from wizardtpu_compile.toolchain.toolchain import Toolchain

from tests.support.requirement import require

_REPOSITORY = Path(__file__).parents[2]


def require_toolchain() -> Toolchain:
    """The toolchain of $WIZARDTPU_TOOLCHAIN, else the repository's own."""
    toolchain = _installed()
    require(toolchain, "the toolchain: wizardtpu-compile toolchain install --directory .toolchain")
    assert toolchain is not None
    return toolchain


def require_onnx_frontend() -> Toolchain:
    """The same, with the vendor's front end for ONNX."""
    toolchain = require_toolchain()
    require(
        toolchain.python,
        "the front end: wizardtpu-compile toolchain install --directory .toolchain --frontend-onnx",
    )
    return toolchain


def _installed() -> Toolchain | None:
    try:
        return Toolchain.find(None if os.environ.get("WIZARDTPU_TOOLCHAIN") else _REPOSITORY / ".toolchain")
    except ToolchainError:
        return None
