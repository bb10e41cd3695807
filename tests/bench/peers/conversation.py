"""The other end of `tests.bench.peer.Peer`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from time import perf_counter

Generate = Callable[[list[int], int], list[int]]
"""Prompt and the most tokens that may follow it, to the tokens that do."""


def converse(open_model: Callable[[], Generate], *libraries: str) -> None:
    """Opens a model, tells the versions of `libraries`, and answers each line of stdin with one of stdout."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not end up among the answers
    generate = open_model()

    def tell(answer: Mapping[str, object]) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    tell({"versions": {name: version(name) for name in libraries}})
    for line in sys.stdin:
        question = json.loads(line)
        start = perf_counter()
        tokens = generate(question["prompt"], question["max_new_tokens"])
        tell({"tokens": tokens, "seconds": perf_counter() - start})
