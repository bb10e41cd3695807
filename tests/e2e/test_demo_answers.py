"""The demonstration model's answers, taken at their word: the code in them is run and checked."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from demo.tasks import Task, failure, held_out_phrasings, load_tasks, phrasings
from wizardtpu_compile.build import build_bundle
from wizardtpu_compile.options import BuildOptions, Precision

from tests.e2e.conftest import DEMO_CHECKPOINT
from tests.support.conversation import ask, asking
from tests.support.daemon_process import DaemonProcess

TASKS = load_tasks()
REQUIRED = 0.95
REQUIRED_OF_UNSEEN = 0.85  # wordings that the model was not trained on


def _spread(phrasings_of: Callable[[Task], list[str]], each: int) -> list[tuple[Task, str]]:
    """`each` requests for every task, and over all tasks as many different wordings as there are."""
    requests = []
    for number, task in enumerate(TASKS):
        wordings = phrasings_of(task)
        step = len(wordings) / each
        requests += [(task, wordings[int(number + i * step) % len(wordings)]) for i in range(each)]
    return requests


def _failures(daemon: DaemonProcess, requests: list[tuple[Task, str]]) -> list[str]:
    """The requests whose answers do not work, and why. Answers that are the same are run once."""
    answers = {request: ask(daemon.stub, asking(request[1])).text for request in requests}
    different = {(task, answers[task, text]) for task, text in requests}
    with ThreadPoolExecutor(2) as processes:
        problems = dict(zip(different, processes.map(lambda each: failure(*each), different), strict=True))
    found = [(text, problems[task, answers[task, text]]) for task, text in requests]
    return [f"{text!r}: {problem}" for text, problem in found if problem]


def _check_rate(requests: list[tuple[Task, str]], failures: list[str], required: float) -> None:
    rate = 1 - len(failures) / len(requests)
    print(f"{rate:.1%} of {len(requests)} requests gave code that works")
    assert rate >= required, "\n".join(failures)


def test_there_is_enough_to_ask() -> None:
    assert len(TASKS) >= 48
    assert all(len(phrasings(task)) >= 3 for task in TASKS)


def test_answers_work(daemon: DaemonProcess) -> None:
    requests = _spread(phrasings, each=2)
    _check_rate(requests, _failures(daemon, requests), REQUIRED)


def test_answers_to_unseen_wordings_work(daemon: DaemonProcess) -> None:
    requests = _spread(held_out_phrasings, each=1)
    _check_rate(requests, _failures(daemon, requests), REQUIRED_OF_UNSEEN)


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_quantized_answers_work(tmp_path: Path, precision: Precision) -> None:
    bundle = tmp_path / "bundle"
    build_bundle(DEMO_CHECKPOINT, bundle, BuildOptions(quantize=precision))
    requests = _spread(phrasings, each=1)
    with DaemonProcess(bundle, tmp_path) as daemon:
        _check_rate(requests, _failures(daemon, requests), REQUIRED)
