"""The demonstration model's answers, taken at their word: the code in them is run and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from demo.tasks import Task, failure, held_out_phrasings, load_tasks, phrasings
from wizardtpu_compile.options.cpu import CpuOptions, Precision
from wizardtpu_compile.targets.cpu import build_cpu_bundle

from tests.golden.cases import DEMO_CHECKPOINT
from tests.support.conversation import ask, asking
from tests.support.daemon_process import DaemonProcess

TASKS = load_tasks()


@dataclass(frozen=True)
class Poll:
    """What is asked, how many requests for each task, and what share of the answers must work."""

    precision: Precision
    phrasings: Callable[[Task], list[str]]
    each: int = 1
    required: float = 0.95

    @property
    def requests(self) -> list[tuple[Task, str]]:
        """Over all tasks as many different wordings as there are."""
        requests = []
        for number, task in enumerate(TASKS):
            wordings = self.phrasings(task)
            step = len(wordings) / self.each
            requests += [(task, wordings[int(number + i * step) % len(wordings)]) for i in range(self.each)]
        return requests


POLLS = {
    "f32": Poll("f32", phrasings, each=2),
    "f32, wordings it was not trained on": Poll("f32", held_out_phrasings, required=0.85),
    "int8": Poll("int8", phrasings),
    "int4": Poll("int4", phrasings),
}


def _failures(directory: Path, poll: Poll) -> list[str]:
    """The requests whose answers do not work, and why. Answers that are the same are run once."""
    bundle = directory / "bundle"
    build_cpu_bundle(DEMO_CHECKPOINT, bundle, CpuOptions(quantize=poll.precision))
    with DaemonProcess(bundle, directory) as daemon:
        asked = [(task, text, ask(daemon.stub, asking(text)).text) for task, text in poll.requests]
    problems = {(task, answer): failure(task, answer) for task, answer in {(each[0], each[2]) for each in asked}}
    return [f"{text!r}: {problem}" for task, text, answer in asked if (problem := problems[task, answer])]


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[str]]:
    """Of every poll; two are held at a time."""
    with ThreadPoolExecutor(2) as threads:
        directories = [tmp_path_factory.mktemp("poll") for _ in POLLS]
        return dict(zip(POLLS, threads.map(_failures, directories, POLLS.values()), strict=True))


def test_there_is_enough_to_ask() -> None:
    assert len(TASKS) >= 48
    assert all(len(phrasings(task)) >= 3 for task in TASKS)


@pytest.mark.parametrize("name", POLLS)
def test_answers_work(failures: Mapping[str, list[str]], name: str) -> None:
    count = len(POLLS[name].requests)
    rate = 1 - len(failures[name]) / count
    print(f"{name}: {rate:.1%} of {count} requests gave code that works")
    assert rate >= POLLS[name].required, "\n".join(failures[name])
