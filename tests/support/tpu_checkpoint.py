"""A model of two layers that compiles for the BM1684X in seconds, and options that keep it so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wizardtpu_compile.options import TpuOptions

from tests.support.random_checkpoint import write_random_checkpoint

CONTEXT = 32


def write_tpu_checkpoint(directory: Path, **changes: Any) -> Path:
    """128 wide, 4 heads, 320 tokens, 64 positions; it never ends its text."""
    shape = {"hidden": 128, "heads": 4, "layers": 2, "positions": 64, "never_ends": True, **changes}
    return write_random_checkpoint(directory, **shape)


def few_shapes(**changes: Any) -> TpuOptions:
    """One token of one sequence, and a chunk of 8: eight networks, not run on the simulator."""
    given = {"context": CONTEXT, "prefill_chunks": (8,), "verify_tokens": 0, "slots": 1, "check_networks": "none"}
    return TpuOptions(**{**given, **changes})
