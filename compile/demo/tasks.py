"""The programming tasks the demonstration model answers, read from the TOML files beside this module."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo import phrasing
from demo.tables import read_tables

TASKS_DIRECTORY = Path(__file__).with_name("tasks")
CHECK_TIMEOUT_SECONDS = 20.0
_CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Task:
    """One program: how it is asked for, the answer to learn, and statements that test the answer's code."""

    name: str
    nouns: tuple[str, ...]
    verbs: tuple[str, ...]
    answer: str
    check: str

    @property
    def asks(self) -> tuple[str, ...]:
        return self.nouns + self.verbs


def load_tasks(directory: Path = TASKS_DIRECTORY) -> list[Task]:
    """All tasks, in the order of the sorted file names and of the tables in each file.

    Raises `ValueError` that names the file and the table if a key is missing or has the wrong type.
    """
    tasks = []
    for path in sorted(directory.glob("*.toml")):
        tasks += [_read_task(path, name, table) for name, table in read_tables(path).items()]
    return tasks


def phrasings(task: Task) -> list[str]:
    """The requests for `task` that the model is trained on."""
    return phrasing.trained_phrasings(task.nouns, task.verbs)


def held_out_phrasings(task: Task) -> list[str]:
    """Requests for `task` that the model has never seen."""
    return phrasing.held_out_phrasings(task.nouns, task.verbs)


def extract_code(answer: str) -> str:
    """The first fenced Python block of `answer`, or "" if there is none."""
    found = _CODE.search(answer)
    return found.group(1) if found else ""


def failure(task: Task, answer: str) -> str:
    """What goes wrong when the code of `answer` and then the task's check are run; "" if nothing does.

    The code runs in a Python process of its own and is stopped after `CHECK_TIMEOUT_SECONDS`.
    """
    code = extract_code(answer)
    if not code:
        return "the answer has no Python code block"
    program = f"{code}\n{task.check}"
    try:
        run = subprocess.run(
            [sys.executable, "-I", "-c", program],
            capture_output=True,
            text=True,
            timeout=CHECK_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"the code did not end within {CHECK_TIMEOUT_SECONDS:g} s"
    return "" if run.returncode == 0 else run.stderr.strip() or f"exit status {run.returncode}"


def _read_task(path: Path, name: str, table: Mapping[str, Any]) -> Task:
    where = f"{path.name}: [{name}]"
    lists = {key: table.get(key) for key in ("nouns", "verbs")}
    texts = {key: table.get(key) for key in ("answer", "check")}
    for key, value in lists.items():
        if not isinstance(value, list) or not all(isinstance(ask, str) for ask in value):
            raise ValueError(f"{where}: {key} must be a list of strings")
    for key, value in texts.items():
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"{where}: {key} must be a string with text in it")
    return Task(
        name=name,
        nouns=tuple(table["nouns"]),
        verbs=tuple(table["verbs"]),
        answer=table["answer"].strip(),
        check=table["check"],
    )
