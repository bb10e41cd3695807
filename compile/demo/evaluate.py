"""Measure the demonstration model: `python -m demo.evaluate` in the `compile` directory."""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import GPTBigCodeForCausalLM

from demo.corpus import END_OF_TEXT_ID, IGNORED, encode, pad
from demo.network import CHECKPOINT_DIRECTORY, CONTEXT, load_checkpoint
from demo.prompt import Turn
from demo.quantization import Precision, quantized_copy
from demo.replies import load_replies
from demo.tasks import Task, failure, held_out_phrasings, load_tasks, phrasings

BATCH_SIZE = 32
SEED = 1
MARGIN_QUANTILE = 0.001
SHOWN_FAILURES = 8
FEWEST_QUESTIONS = 200


class Question(NamedTuple):
    """A request, the conversation before it, and the task or the fixed reply it should get."""

    text: str
    goal: Task | str
    history: tuple[Turn, ...] = ()

    @property
    def answer(self) -> str:
        return self.goal.answer if isinstance(self.goal, Task) else self.goal


@dataclass
class Rate:
    """How many questions of one kind got the learned answer word for word, or else code that works."""

    questions: int = 0
    exact: int = 0
    passed: int = 0
    margins: list[Tensor] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        margin = torch.cat(self.margins).quantile(MARGIN_QUANTILE).item()
        exact, passed = self.exact / self.questions, self.passed / self.questions
        return f"{self.questions:6d} questions  exact {exact:7.2%}  passed {passed:7.2%}  margin {margin:.2f}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measure the demonstration model at every precision.")
    parser.add_argument("checkpoint", type=Path, nargs="?", default=CHECKPOINT_DIRECTORY)
    parser.add_argument("--every", type=int, default=1, help="measure each n-th question (default: all)")
    options = parser.parse_args(arguments)
    network, tokenizer = load_checkpoint(options.checkpoint)
    print("margin: by how much the right token's logit leads, at the worst of a thousand tokens")
    for precision in Precision:
        model = quantized_copy(network, precision)
        for kind, questions in _questions().items():
            rate = measure(model, tokenizer, _thinned(questions, options.every))
            print(f"{precision.value:25s} {kind:18s} {rate}", flush=True)
            for text in rate.failed[:SHOWN_FAILURES]:
                print(f"    {text!r}")


def measure(model: GPTBigCodeForCausalLM, tokenizer: Tokenizer, questions: Sequence[Question]) -> Rate:
    """Compare greedy decoding with the answers learned; run the code wherever it differs."""
    rate = Rate(questions=len(questions))
    for question, margins in _margins(model, tokenizer, questions):
        exact = bool((margins > 0).all())
        passed = exact or _works(model, tokenizer, question)
        rate.exact += exact
        rate.passed += passed
        rate.margins.append(margins)
        if not passed:
            rate.failed.append(question.text)
    return rate


def generate(model: GPTBigCodeForCausalLM, tokenizer: Tokenizer, turns: Sequence[Turn]) -> str:
    """The model's greedy answer to the request of the last turn."""
    prompt = torch.tensor([encode(tokenizer, [*turns[:-1], Turn(turns[-1].request, "")]).input_ids])
    output = model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        max_length=CONTEXT,
        do_sample=False,
        pad_token_id=END_OF_TEXT_ID,
    )
    answer: str = tokenizer.decode(output[0, prompt.shape[1] :].tolist())
    return answer


def _questions() -> dict[str, list[Question]]:
    tasks, replies = load_tasks(), load_replies()
    trained = [Question(text, task) for task in tasks for text in phrasings(task)]
    return {
        "trained": trained,
        "held out": [Question(text, task) for task in tasks for text in held_out_phrasings(task)],
        "third turn": _later_turns(trained),
        "replies": [Question(text, reply.answer) for reply in replies for text in reply.trained],
        "replies, held out": [Question(text, reply.answer) for reply in replies for text in reply.held_out],
    }


def _later_turns(questions: Sequence[Question]) -> list[Question]:
    """A tenth of the questions, each after two others."""
    rng = random.Random(SEED)
    return [
        question._replace(history=tuple(Turn(past.text, past.answer) for past in rng.sample(questions, 2)))
        for question in rng.sample(questions, len(questions) // 10)
    ]


def _thinned(questions: Sequence[Question], every: int) -> Sequence[Question]:
    """Each n-th question, or more of them if few would be left."""
    return questions[:: max(1, min(every, len(questions) // FEWEST_QUESTIONS))]


def _works(model: GPTBigCodeForCausalLM, tokenizer: Tokenizer, question: Question) -> bool:
    if not isinstance(question.goal, Task):
        return False
    return not failure(question.goal, generate(model, tokenizer, [*question.history, Turn(question.text, "")]))


def _margins(
    model: GPTBigCodeForCausalLM, tokenizer: Tokenizer, questions: Sequence[Question]
) -> Iterator[tuple[Question, Tensor]]:
    """Each question with the lead of every right token over the best wrong one, from one forward pass.

    All leads are positive exactly if greedy decoding writes the answer learned.
    """
    ordered = sorted(questions, key=lambda question: len(question.answer))
    for start in range(0, len(ordered), BATCH_SIZE):
        batch = ordered[start : start + BATCH_SIZE]
        examples = [encode(tokenizer, [*each.history, Turn(each.text, each.answer)]) for each in batch]
        input_ids, labels = pad(examples)
        with torch.inference_mode():
            scores = model(input_ids=input_ids, use_cache=False).logits.float()
        right = labels.clamp_min(0)[..., None]
        leads = scores.gather(-1, right)[..., 0] - scores.scatter(-1, right, -torch.inf).amax(-1)
        for question, lead, label in zip(batch, leads, labels, strict=True):
            answer_length = len(tokenizer.encode(question.answer).ids) + 1
            yield question, lead[label != IGNORED][-answer_length:]


if __name__ == "__main__":
    main()
