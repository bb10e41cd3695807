"""The steps in which a prompt is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def engine_steps(prompt: int, counts: Sequence[int]) -> list[int]:
    """Tokens of each step the daemon's engine takes for a prompt of `prompt` tokens.

    Args:
        prompt: at least 1.
        counts: how many tokens the step networks take, ascending.

    The rule of `wizardtpud.engine.Engine`: the smallest step that holds what is left, else the largest there is.
    """
    steps = []
    while prompt > 0:
        steps.append(next((count for count in counts if count >= prompt), counts[-1]))
        prompt -= steps[-1]
    return steps


def least_cycles(prompt: int, cycles: Mapping[int, int]) -> int:
    """Cycles of the cheapest steps that together hold `prompt` tokens; `cycles` is by tokens of a step."""
    least = [0]
    for left in range(1, prompt + 1):
        least.append(min(cost + least[max(0, left - count)] for count, cost in cycles.items()))
    return least[prompt]
