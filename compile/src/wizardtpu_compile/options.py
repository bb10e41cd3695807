"""What a person may ask of a build."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Precision = Literal["f32", "int8", "int4"]

DEFAULT_PREFILL_CHUNKS = (16, 64, 256)


@dataclass(frozen=True)
class BuildOptions:
    """Options of a build; absent ones follow from the checkpoint.

    `context` is the number of tokens of prompt and answer together, `prefill_chunks` how many tokens of a prompt
    one step may take, `group_size` how many weights share one scale, `chat_template` Jinja source.
    """

    quantize: Precision = "f32"
    group_size: int = 64
    context: int | None = None
    prefill_chunks: tuple[int, ...] = DEFAULT_PREFILL_CHUNKS
    name: str | None = None
    chat_template: str | None = None
    force: bool = False
