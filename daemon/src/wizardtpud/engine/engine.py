"""The engine: turns prompts into tokens, one step at a time."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from collections.abc import Sequence as AbstractSequence
from dataclasses import dataclass, field

from wizardtpud.device.telemetry import Telemetry
from wizardtpud.engine.forward import Forward
from wizardtpud.engine.sampling import Sampling
from wizardtpud.engine.sequence import Limits, Sequence
from wizardtpud.engine.token import Token
from wizardtpud.errors import NotNumbersError, WizardtpudError


@dataclass(frozen=True)
class Progress:
    """What a step did for a sequence: the tokens it added, none while the prompt is being read.

    Attributes:
        error: why the sequence cannot go on, if it cannot; it is to be discarded then.
    """

    sequence: Sequence
    tokens: list[Token] = field(default_factory=list)
    error: WizardtpudError | None = None


class Engine:
    """Runs sequences on a device, each in a slot of the KV cache. Used by the thread that owns the device.

    Attributes:
        slots: how many sequences may be admitted at once.
        context: how many tokens a sequence may have, prompt and answer together.
        vocabulary: token ids are below this.
        telemetry: of the devices it runs on, if there is any.
    """

    def __init__(
        self, forward: Forward, end_of_text: Iterable[int], telemetry: AbstractSequence[Telemetry] = ()
    ) -> None:
        self.telemetry = telemetry
        self.slots = forward.slots
        self.context = forward.context
        self.vocabulary = forward.vocabulary
        self._forward = forward
        self._limits = Limits(frozenset(end_of_text), forward.context)
        self._free = list(range(forward.slots))
        self._running: list[Sequence] = []

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

    def discard(self, sequence: Sequence) -> None:
        """Gives the slot back without what the sequence left there, which may not be numbers.

        Raises:
            DeviceError: the device failed.
        """
        self._forward.clear(sequence.slot)
        self.release(sequence)

    def _advance(self, sequence: Sequence) -> Progress:
        """Reads what the cache does not hold yet, as far as one step goes; if that was all, adds a token."""
        sequence.cached = self._forward.read(sequence.slot, sequence.tokens, sequence.cached)
        if sequence.cached < len(sequence.tokens):
            return Progress(sequence)
        try:
            token = self._choose(sequence)
        except NotNumbersError as error:
            return Progress(sequence, error=error)
        sequence.append(token)
        return Progress(sequence, [token])

    def _choose(self, sequence: Sequence) -> Token:
        """The token to follow what was read last."""
        if sequence.sampling.greedy_on_device:
            return Token(self._forward.head.likeliest())
        return sequence.sampler.choose(self._forward.head.logits(), sequence.tokens)
