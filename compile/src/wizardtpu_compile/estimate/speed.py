"""Times and speeds, from the cycles of steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wizardtpud.engine.wizardtpu.prefill_plan import PrefillPlan

from wizardtpu_compile.estimate.cost import StepCosts, block_nets, head_nets
from wizardtpu_compile.estimate.report import Decoding, FirstToken, Verification

PROMPTS = (16, 64, 128, 256, 512, 1024, 2048, 4096)
"""Lengths of prompts to tell the time for, in tokens; those that leave room for an answer."""


def first_tokens(costs: StepCosts, context: int, counts: Sequence[int]) -> Iterator[FirstToken]:
    """The time to the first token by length of the prompt; `counts` are the tokens of steps.

    A prompt is read as the daemon's engine does it.
    """
    plan = PrefillPlan({tokens: costs.cycles(block_nets(1, tokens, context)) for tokens in counts}, context)
    return (first_token(costs, context, plan, prompt) for prompt in PROMPTS if prompt < context)


def first_token(costs: StepCosts, context: int, plan: PrefillPlan, prompt: int) -> FirstToken:
    """The time from a prompt of `prompt` tokens to the token after it."""
    steps = plan.steps(prompt)
    nets = [net for tokens in steps for net in block_nets(1, tokens, context)] + [*head_nets(1)]
    return FirstToken(prompt, steps, costs.milliseconds(nets))


def decoding(costs: StepCosts, context: int, slots: int) -> Decoding:
    """One step that adds a token to each of `slots` sequences."""
    time = costs.milliseconds([*block_nets(slots, 1, context), *head_nets(slots)])
    return Decoding(slots, time, 1000 * slots / time, 1000 / time)


def verification(costs: StepCosts, context: int, tokens: int) -> Verification:
    """One step that checks `tokens` - 1 drafted tokens of one sequence."""
    time = costs.milliseconds([*block_nets(1, tokens, context), *head_nets(tokens)])
    return Verification(tokens, time, [1000 * count / time for count in range(1, tokens + 1)])
