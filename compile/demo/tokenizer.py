"""The byte-level BPE tokenizer of the demonstration model, laid out like StarCoder's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from demo.prompt import Turn, prompts
from demo.replies import Reply
from demo.tasks import Task, phrasings

END_OF_TEXT = "<|endoftext|>"
SPECIAL_TOKENS = (
    END_OF_TEXT,
    "<fim_prefix>",
    "<fim_middle>",
    "<fim_suffix>",
    "<fim_pad>",
    "<filename>",
    "<gh_stars>",
    "<issue_start>",
    "<issue_comment>",
    "<issue_closed>",
    "<jupyter_start>",
    "<jupyter_text>",
    "<jupyter_code>",
    "<jupyter_output>",
    "<empty_output>",
    "<commit_before>",
    "<commit_msg>",
    "<commit_after>",
    "<reponame>",
)
VOCABULARY_SIZE = 1536
# The answers are what the model has to write: repeated, so that they take few tokens.
ANSWER_REPEATS = 20


def train_tokenizer(tasks: Iterable[Task], replies: Iterable[Reply]) -> Tokenizer:
    """A tokenizer with exactly `VOCABULARY_SIZE` entries, the special tokens first."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        min_frequency=2,
        special_tokens=[AddedToken(token, special=True) for token in SPECIAL_TOKENS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(tasks, replies), trainer)
    if tokenizer.get_vocab_size() != VOCABULARY_SIZE:
        raise ValueError(f"the text gives {tokenizer.get_vocab_size()} tokens, not {VOCABULARY_SIZE}")
    return tokenizer


def _texts(tasks: Iterable[Task], replies: Iterable[Reply]) -> Iterator[str]:
    for task in tasks:
        yield from [task.answer] * ANSWER_REPEATS
        yield from _requests(phrasings(task))
    for reply in replies:
        yield from [reply.answer] * ANSWER_REPEATS
        yield from _requests(reply.trained)


def _requests(requests: Iterable[str]) -> Iterator[str]:
    for request in requests:
        yield from prompts([Turn(request, "")])
