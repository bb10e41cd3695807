"""The compiler's estimate of a model's speed on the chip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
from wizardtpu_compile.estimate.report import ContextReport, Report

from tests.bench.compile.command import run
from tests.bench.progress import say

SHORT, LONG = 512, 8192
SLOTS = 8
PROMPT = 64


@dataclass(frozen=True)
class Speed:
    """What `wizardtpu-compile estimate` says of int4, and the seconds and the memory it took to say it."""

    report: Report
    seconds: float
    largest_peak: int

    def context(self, tokens: int) -> ContextReport:
        """For a cache of so many tokens."""
        return next(each for each in self.report.precisions[0].contexts if each.context == tokens)

    def rate(self, context: int, slots: int) -> float:
        """Tokens a second, of all slots together."""
        decoding = self.context(context).decoding
        return next(each.tokens_per_second for each in decoding if each.slots == slots)

    def first_token(self, context: int) -> float:
        """Milliseconds from a prompt of `PROMPT` tokens to the token after it."""
        prompts = self.context(context).first_token
        return next(each.milliseconds for each in prompts if each.prompt == PROMPT)


def estimate_speed(model: str, scratch: Path) -> Speed:
    """Asks the compiler's cycle model.

    Raises:
        CommandError: the command failed.
    """
    say(f"estimating the speed of {model}")
    contexts = f"{SHORT},{LONG}"
    arguments = ("--config", model, "--quantize", "int4", "--context", contexts, "--slots", SLOTS, "--json")
    usage = run(("estimate", *arguments), scratch)
    return Speed(msgspec.json.decode(usage.output, type=Report), usage.seconds, usage.largest_peak)
