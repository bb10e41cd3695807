"""The engine: turns prompts into tokens, one step at a time."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from collections.abc import Sequence as AbstractSequence
from dataclasses import dataclass, field

from wizardtpud.device.runtime import Launch, Runtime
from wizardtpud.engine.head import Head
from wizardtpud.engine.kv_cache import KvCache
from wizardtpud.engine.prefill_plan import PrefillPlan
from wizardtpud.engine.sampling import Sampling
from wizardtpud.engine.sequence import Limits, Sequence
from wizardtpud.engine.step import Step
from wizardtpud.engine.token import Token
from wizardtpud.model.layout import Layout, StepNetworks


@dataclass(frozen=True)
class Progress:
    """What a step did for a sequence: the tokens it added, none while the prompt is being read."""

    sequence: Sequence
    tokens: list[Token] = field(default_factory=list)


class Engine:
    """Runs sequences on a device, each in a slot of the KV cache. Used by the thread that owns the runtime.

    Attributes:
        slots: how many sequences may be admitted at once.
        context: how many tokens a sequence may have, prompt and answer together.
        vocabulary: token ids are below this.
    """

    def __init__(self, runtime: Runtime, layout: Layout, end_of_text: Iterable[int], slots: int = 1) -> None:
        """Allocates the cache and binds every network for every slot.

        Raises:
            DeviceError: the device has no room for that many slots.
        """
        self.slots = slots
        self.context = layout.context
        self.vocabulary = layout.architecture.vocabulary
        self._limits = Limits(frozenset(end_of_text), layout.context)
        self._free = list(range(slots))
        self._running: list[Sequence] = []
        cache = KvCache(runtime, layout, slots)
        single = [networks for networks in layout.steps if networks.batch == 1]
        self._steps = {n.tokens: Step(runtime, layout, n, cache, slots) for n in single}
        self._plan = PrefillPlan(_step_costs(single, layout.context), layout.context)
        self._head = Head(runtime, layout, single[0])
        self._lm_heads: dict[tuple[int, int], Launch] = {}

    @property
    def free_slots(self) -> int:
        """How many more sequences may be admitted now."""
        return len(self._free)

    def admit(
        self, prompt: AbstractSequence[int], sampling: Sampling, max_new_tokens: int | None = None
    ) -> Sequence:
        """Takes a slot for a new sequence of 1 to `context` - 1 tokens.

        Raises:
            ValueError: no slot is free, or the prompt is one that must have been refused earlier.
        """
        if not self._free:
            raise ValueError(f"all {self.slots} slots are taken")
        if not 0 < len(prompt) < self.context:
            raise ValueError(f"a prompt of {len(prompt)} tokens does not fit a context of {self.context}")
        if min(prompt) < 0 or max(prompt) >= self.vocabulary:
            raise ValueError(f"a token id is outside the vocabulary of {self.vocabulary}")
        sequence = Sequence(prompt, sampling, max_new_tokens, self._limits, slot=heapq.heappop(self._free))
        self._running.append(sequence)
        return sequence

    def step(self) -> list[Progress]:
        """Reads a chunk of the oldest unread prompt or, if all are read, adds a token to every sequence.

        Raises:
            DeviceError: the device failed.
        """
        running = [sequence for sequence in self._running if sequence.finish is None]
        unread = [sequence for sequence in running if sequence.prefilling]
        return [self._advance(sequence) for sequence in unread[:1] or running]

    def release(self, sequence: Sequence) -> None:
        """Gives the slot back. Releasing again does nothing."""
        if sequence in self._running:
            self._running.remove(sequence)
            heapq.heappush(self._free, sequence.slot)

    def _advance(self, sequence: Sequence) -> Progress:
        """Reads what the cache does not hold yet, as far as one step goes; if that was all, adds a token."""
        step = self._steps[self._plan.next_step(len(sequence.tokens) - sequence.cached)]
        # Padding is written to the cache too. Where its end leaves no room for that, some rows are read again.
        start = min(sequence.cached, self.context - step.tokens)
        ids = sequence.tokens[start : start + step.tokens]
        step.run(sequence.slot, ids, start)
        sequence.cached = start + len(ids)
        if sequence.cached < len(sequence.tokens):
            return Progress(sequence)
        return Progress(sequence, [self._next_token(sequence, step, len(ids) - 1)])

    def _next_token(self, sequence: Sequence, step: Step, last: int) -> Token:
        """The token that follows the token `last` of a step."""
        key = (step.tokens, last)
        if key not in self._lm_heads:
            self._lm_heads[key] = self._head.bind(step.hidden_states(last))
        self._lm_heads[key].run()
        token = self._head.choose(sequence)
        sequence.append(token)
        return token


def _step_costs(networks: AbstractSequence[StepNetworks], context: int) -> dict[int, float]:
    """What a step costs, by its tokens: the compiler's estimate if it made one for all of them.

    Else what counts is how many steps there are, and among as many of them the tokens.
    """
    known = {n.tokens: n.cycles for n in networks if n.cycles is not None}
    if len(known) == len(networks):
        return {tokens: float(cycles) for tokens, cycles in known.items()}
    return {n.tokens: float(context + n.tokens) for n in networks}
