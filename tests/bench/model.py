"""The models that are measured, and what they are asked."""

from __future__ import annotations

import json
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from wizardtpu_compile.options.cpu import CpuOptions, Precision
from wizardtpu_compile.targets.cpu import build_cpu_bundle
from wizardtpud.model.chat_template import WIZARDCODER_CHAT_TEMPLATE
from wizardtpud.text.prompt_template import Message, PromptTemplate
from wizardtpud.text.tokenizer import Tokenizer

from tests.bench.plan import ModelSize
from tests.bench.progress import say
from tests.support.random_checkpoint import END_OF_TEXT, write_random_checkpoint

DEMO_CHECKPOINT = Path(__file__).parents[2] / "compile" / "demo" / "checkpoint"
DEMO_TOKENS = 256
"""More than the longest answer has: the model ends it."""
QUESTIONS = (
    "write quicksort",
    "binary search",
    "write a function that reverses a string",
    "implement merge sort in Python",
    "fibonacci",
    "how do I write bubble sort?",
    "check if a number is prime",
    "count the words in a text",
)
_PROMPT_TOKENS = 32
# What CTranslate2's converter wants to know besides what tokenizer.json says.
_TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": END_OF_TEXT,
    "eos_token": END_OF_TEXT,
    "unk_token": END_OF_TEXT,
}
_TINY = ModelSize(hidden=64, heads=4, layers=1, inner=64, vocabulary=1024, positions=256)


class Model:
    """A checkpoint, bundles of it made when they are first wanted, and prompts.

    Attributes:
        prompts: token ids.
        max_new_tokens: after each prompt.
    """

    def __init__(
        self, name: str, checkpoint: Path, prompts: list[list[int]], max_new_tokens: int, scratch: Path
    ) -> None:
        self.name = name
        self.checkpoint = checkpoint
        self.prompts = prompts
        self.max_new_tokens = max_new_tokens
        self._scratch = scratch

    def bundle(self, precision: Precision) -> Path:
        directory = self._scratch / f"{self.name}-{precision}"
        if not directory.exists():
            say(f"building the {self.name} bundle, {precision}")
            build_cpu_bundle(self.checkpoint, directory, CpuOptions(quantize=precision, name=self.name))
        return directory


def demo(scratch: Path, questions: int) -> Model:
    """The demonstration model and real questions, in turn."""
    prompts = [demo_prompt(question) for question in islice(cycle(QUESTIONS), questions)]
    return Model("demo", DEMO_CHECKPOINT, prompts, DEMO_TOKENS, scratch)


def demo_prompt(question: str) -> list[int]:
    text = PromptTemplate(WIZARDCODER_CHAT_TEMPLATE).render([Message("user", question)])
    return Tokenizer.load(DEMO_CHECKPOINT / "tokenizer.json").encode(text)


def larger(scratch: Path, size: ModelSize, prompts: int, max_new_tokens: int) -> Model:
    """A random model that never ends its text."""
    return _random("larger", scratch, size, prompts, max_new_tokens)


def tiny(scratch: Path, requests: int) -> Model:
    """A random model of almost no arithmetic that never ends its text."""
    return _random("tiny", scratch, _TINY, requests, _TINY.positions - _PROMPT_TOKENS)


def _random(name: str, scratch: Path, size: ModelSize, prompts: int, max_new_tokens: int) -> Model:
    checkpoint = scratch / f"{name}-checkpoint"
    if not checkpoint.exists():
        write_checkpoint(checkpoint, size)
    generator = np.random.Generator(np.random.PCG64(0))
    ids = generator.integers(1, size.vocabulary, (prompts, _PROMPT_TOKENS))
    return Model(name, checkpoint, ids.tolist(), max_new_tokens, scratch)


def write_checkpoint(directory: Path, size: ModelSize) -> None:
    """Of a random model that never ends its text."""
    write_random_checkpoint(
        directory,
        hidden=size.hidden,
        heads=size.heads,
        layers=size.layers,
        inner=size.inner,
        vocabulary=size.vocabulary,
        positions=size.positions,
        never_ends=True,
    )
    (directory / "tokenizer_config.json").write_text(json.dumps(_TOKENIZER_CONFIG))
