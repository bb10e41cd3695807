"""The forward pass over step networks."""

from __future__ import annotations

from collections.abc import Sequence

from wizardtpud.device.runtime import Runtime
from wizardtpud.engine.forward import Forward
from wizardtpud.engine.head import Bound
from wizardtpud.engine.logits_head import LogitsHead
from wizardtpud.engine.wizardtpu.kv_cache import KvCache
from wizardtpud.engine.wizardtpu.prefill_plan import PrefillPlan
from wizardtpud.engine.wizardtpu.step import Step
from wizardtpud.model.layout import Layout, StepNetworks


class StepForward(Forward):
    """Reads prompts in the cheapest steps, and goes on in steps of one token."""

    def __init__(self, runtime: Runtime, layout: Layout, slots: int = 1) -> None:
        """Allocates the cache and binds every network for every slot.

        Raises:
            DeviceError: the device has no room for that many slots.
        """
        self.slots = slots
        self.context = layout.context
        self.vocabulary = layout.architecture.vocabulary
        single = [networks for networks in layout.steps if networks.batch == 1]
        self._cache = KvCache(runtime, layout, slots)
        self._steps = {n.tokens: Step(runtime, layout, n, self._cache) for n in single}
        self._plan = PrefillPlan(_step_costs(single, layout.context), layout.context)
        self.head = LogitsHead(runtime, single[0].lm_head, single[0].greedy_head)
        self._places: dict[tuple[int, int], Bound] = {}

    def read(self, slot: int, tokens: Sequence[int], cached: int) -> int:
        step = self._steps[self._plan.next_step(len(tokens) - cached)]
        # Padding is written to the cache too. Where its end leaves no room for that, some rows are read again.
        start = min(cached, self.context - step.tokens)
        ids = tokens[start : start + step.tokens]
        step.run(slot, ids, start)
        self._look_at(step, len(ids) - 1)
        return start + len(ids)

    def clear(self, slot: int) -> None:
        self._cache.clear(slot)

    def _look_at(self, step: Step, index: int) -> None:
        """Lets the head look at token `index` of a step; it is bound once for each place that a token may have."""
        place = (step.tokens, index)
        if place not in self._places:
            self._places[place] = self.head.bind(step.hidden_states(index))
        self.head.look_at(self._places[place])


def _step_costs(networks: Sequence[StepNetworks], context: int) -> dict[int, float]:
    """What a step costs, by its tokens: the compiler's estimate if it made one for all of them.

    Else what counts is how many steps there are, and among as many of them the tokens.
    """
    known = {n.tokens: n.cycles for n in networks if n.cycles is not None}
    if len(known) == len(networks):
        return {tokens: float(cycles) for tokens, cycles in known.items()}
    return {n.tokens: float(context + n.tokens) for n in networks}
