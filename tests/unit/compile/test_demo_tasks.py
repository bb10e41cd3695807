from __future__ import annotations

import random
from pathlib import Path

import demo
import pytest
from demo import phrasing
from demo.augmentation import augment
from demo.prompt import Turn, prompts
from demo.replies import Reply, load_replies
from demo.tasks import Task, extract_code, failure, held_out_phrasings, load_tasks, phrasings
from tokenizers import Tokenizer

TASKS = load_tasks()
REPLIES = load_replies()
CHECKPOINT = Path(demo.__file__).with_name("checkpoint")
CONTEXT = 512
LONGEST_ANSWER = 170


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(CHECKPOINT / "tokenizer.json"))


def normal(request: str) -> str:
    return request.lower().strip(" .?!")


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_the_reference_code_passes_its_check(task: Task) -> None:
    assert failure(task, task.answer) == ""


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_the_check_notices_code_that_does_nothing(task: Task) -> None:
    assert failure(task, "```python\npass\n```") != ""


def test_an_answer_without_code_fails() -> None:
    assert failure(TASKS[0], "no code here") == "the answer has no Python code block"


def test_there_are_enough_tasks_with_names_of_their_own() -> None:
    names = [task.name for task in TASKS]
    assert len(names) >= 52
    assert len(set(names)) == len(names)
    assert "quicksort" in names


def test_every_task_is_asked_for_in_several_ways() -> None:
    for task in TASKS:
        assert len(task.asks) >= 5, task.name
        assert len(phrasings(task)) >= 100, task.name


def test_no_request_belongs_to_two_answers() -> None:
    owners: dict[str, str] = {}
    requests = [(task.name, text) for task in TASKS for text in phrasings(task) + held_out_phrasings(task)]
    requests += [(reply.name, text) for reply in REPLIES for text in reply.trained + reply.held_out]
    for owner, text in requests:
        assert owners.setdefault(normal(text), owner) == owner, text


def test_held_out_requests_are_never_trained() -> None:
    trained = {text for task in TASKS for text in phrasings(task)} | {t for r in REPLIES for t in r.trained}
    held_out = {text for task in TASKS for text in held_out_phrasings(task)}
    held_out |= {text for reply in REPLIES for text in reply.held_out}
    assert len(held_out) > 1000
    assert not trained & held_out


def test_the_templates_all_have_a_place_for_the_ask() -> None:
    noun_templates = phrasing.NOUN_TEMPLATES + phrasing.HELD_OUT_NOUN_TEMPLATES
    for template in noun_templates + phrasing.VERB_TEMPLATES + phrasing.HELD_OUT_VERB_TEMPLATES:
        assert template.count("{x}") == 1, template
    assert len(phrasing.NOUN_TEMPLATES) >= 20


def test_answers_begin_with_a_sentence_and_have_one_code_block() -> None:
    for task in TASKS:
        assert task.answer[0].isalpha(), task.name
        assert task.answer.count("```") == 2, task.name
        assert extract_code(task.answer).isascii(), task.name


@pytest.mark.parametrize("goal", [*TASKS, *REPLIES], ids=lambda goal: goal.name)
def test_answers_are_short_and_survive_the_tokenizer(goal: Task | Reply, tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode(goal.answer).ids
    assert len(ids) <= LONGEST_ANSWER
    assert tokenizer.decode(ids) == goal.answer


def test_every_request_and_its_answer_fit_a_third_of_the_context(tokenizer: Tokenizer) -> None:
    for task in TASKS:
        longest = max(phrasings(task) + held_out_phrasings(task), key=len)
        text = prompts([Turn(longest, "")])[0] + task.answer
        assert len(tokenizer.encode(text).ids) <= CONTEXT // 2


def test_a_conversation_in_pieces_is_the_same_tokens_as_in_one(tokenizer: Tokenizer) -> None:
    turns = [Turn(task.asks[0], task.answer) for task in TASKS[:3]]
    pieces = [text for pair in zip(prompts(turns), turns, strict=True) for text in (pair[0], pair[1].answer)]
    ids = [each for piece in pieces for each in tokenizer.encode(piece).ids]
    assert ids == tokenizer.encode("".join(pieces)).ids


def test_the_prompt_is_the_one_of_wizardcoder() -> None:
    first, second = prompts([Turn("write quicksort", "Here."), Turn("thanks", "")])
    assert first == (
        "Below is an instruction that describes a task. Write a response that appropriately completes the "
        "request.\n\n### Instruction:\nwrite quicksort\n\n### Response:"
    )
    assert second == "\n\n### Instruction:\nthanks\n\n### Response:"


def test_the_tokenizer_has_the_layout_of_starcoder(tokenizer: Tokenizer) -> None:
    assert tokenizer.id_to_token(0) == "<|endoftext|>"
    assert tokenizer.id_to_token(1) == "<fim_prefix>"
    assert tokenizer.id_to_token(18) == "<reponame>"
    assert tokenizer.get_vocab_size() % 64 == 0
    assert tokenizer.encode("2024").tokens == ["2", "0", "2", "4"]
    every_byte = "".join(map(chr, range(1, 0x250))) + "\U0001f600\uffff"
    assert tokenizer.decode(tokenizer.encode(every_byte).ids) == every_byte


def test_augmentation_is_seeded_and_keeps_requests_recognisable() -> None:
    def some(seed: int) -> list[str]:
        rng = random.Random(seed)
        return [augment("Write a Python function for quicksort.", rng) for _ in range(200)]

    assert some(1) == some(1)
    assert some(1) != some(2)
    assert sum("quicksort" in text.lower() for text in some(1)) > 180


def test_a_task_without_an_answer_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text('[stack]\nnouns = ["a stack"]\nverbs = []\ncheck = "pass"\n')
    with pytest.raises(ValueError, match=r"broken\.toml: \[stack\]: answer must be a string"):
        load_tasks(tmp_path)
