"""The training text: random conversations about the tasks, as token ids with the tokens to predict."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor

from demo.augmentation import augment
from demo.prompt import Turn, prompts
from demo.replies import Reply
from demo.tasks import Task, phrasings

IGNORED = -100  # the label of positions without a loss, as torch.nn.functional.cross_entropy has it
END_OF_TEXT_ID = 0
TASK_SHARE = 0.78
UNKNOWN_SHARE = 0.14
PLAIN_SHARE = 0.2  # requests in no template: few among the phrasings, but what people type first
TURN_COUNTS = (1, 2, 3, 6)
TURN_WEIGHTS = (0.50, 0.20, 0.18, 0.12)
POOL_SIZE = 256  # conversations sorted by length together, so that batches need little padding


@dataclass(frozen=True)
class Example:
    """One conversation: `labels[i]` is the token to predict after `input_ids[: i + 1]`, or `IGNORED`."""

    input_ids: list[int]
    labels: list[int]


def encode(tokenizer: Tokenizer, turns: Sequence[Turn]) -> Example:
    """The example of a whole conversation, with a loss on every answer and on the end of text after it."""
    input_ids: list[int] = []
    labels: list[int] = []
    for piece, turn in zip(prompts(turns), turns, strict=True):
        prompt: list[int] = tokenizer.encode(piece).ids
        answer: list[int] = tokenizer.encode(turn.answer).ids
        input_ids += prompt + answer
        labels += [IGNORED] * (len(prompt) - 1) + answer + [END_OF_TEXT_ID]
    return Example(input_ids, labels)


def pad(examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
    """Input ids and labels, int64 [batch, longest], padded on the right."""
    longest = max(len(example.input_ids) for example in examples)
    ids = [example.input_ids + [END_OF_TEXT_ID] * (longest - len(example.input_ids)) for example in examples]
    labels = [example.labels + [IGNORED] * (longest - len(example.labels)) for example in examples]
    return torch.tensor(ids), torch.tensor(labels)


class _Source(NamedTuple):
    asks: Sequence[str]
    requests: Sequence[str]
    answer: str


class Corpus:
    """An endless, seeded source of training batches."""

    def __init__(
        self, tokenizer: Tokenizer, tasks: Sequence[Task], replies: Sequence[Reply], context: int, seed: int
    ) -> None:
        self._tokenizer = tokenizer
        self._context = context
        self._rng = random.Random(seed)
        self._tasks = [_Source(task.asks, tuple(phrasings(task)), task.answer) for task in tasks]
        fixed = {reply.name: _Source(reply.prompts, reply.trained, reply.answer) for reply in replies}
        self._unknown = [fixed.pop("unknown")]
        self._small_talk = list(fixed.values())

    def batches(self, tokens: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Padded batches of at most `tokens` positions each."""
        while True:
            pool = sorted((self._example() for _ in range(POOL_SIZE)), key=lambda each: len(each.input_ids))
            batches = list(_cut(pool, tokens))
            self._rng.shuffle(batches)
            yield from map(pad, batches)

    def _example(self) -> Example:
        count = self._rng.choices(TURN_COUNTS, TURN_WEIGHTS)[0]
        turns = [self._turn()]
        example = encode(self._tokenizer, turns)
        while len(turns) < count:
            turns.append(self._turn())
            longer = encode(self._tokenizer, turns)
            if len(longer.input_ids) > self._context:
                break
            example = longer
        return example

    def _turn(self) -> Turn:
        kind = self._rng.random()
        if kind < TASK_SHARE:
            source = self._tasks
        else:
            source = self._unknown if kind < TASK_SHARE + UNKNOWN_SHARE else self._small_talk
        asks, requests, answer = self._rng.choice(source)
        request = self._rng.choice(asks if self._rng.random() < PLAIN_SHARE else requests)
        return Turn(augment(request, self._rng), answer)


def _cut(pool: Sequence[Example], tokens: int) -> Iterator[list[Example]]:
    batch: list[Example] = []
    for example in pool:
        if batch and (len(batch) + 1) * len(example.input_ids) > tokens:
            yield batch
            batch = []
        batch.append(example)
    if batch:
        yield batch
