"""The report as tables for a person."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence

from wizardtpu_compile.estimate.hints import slots_text
from wizardtpu_compile.estimate.report import (
    ContextReport,
    Decoding,
    Memory,
    PrecisionReport,
    Report,
    Verification,
)

_LABEL = 32
_COLUMN = 17
_WIDTH = 100


def lines(report: Report) -> Iterator[str]:
    """The whole report; every precision has a table with a column for each context."""
    yield (
        f"{report.model}: {report.layers} layers, {report.hidden} wide, {report.heads} heads, "
        f"vocabulary {report.vocabulary}; {_chips(report.devices)}, compiler {report.toolchain}"
    )
    yield from textwrap.wrap(report.basis, _WIDTH)
    for precision in report.precisions:
        yield ""
        yield from _table(precision, report.memory_budget)
    yield ""
    yield from textwrap.wrap(
        "Memory is that of a device with a bundle of all steps of one sequence, and those of so many slots; * is "
        f"more than the {_size(report.memory_budget)} that a device of 16 GB has for the TPU.",
        _WIDTH,
    )


def _chips(devices: int) -> str:
    return "one BM1684X" if devices == 1 else f"{devices} BM1684X"


def _table(precision: PrecisionReport, budget: int) -> Iterator[str]:
    groups = f", groups of {precision.group_size}" if precision.group_size else ""
    yield f"{precision.blocks}{groups}, lm_head {precision.lm_head}"
    contexts = precision.contexts
    yield _row("context", [f"{context.context}" for context in contexts])
    yield from _first_tokens(contexts)
    yield from _decodings(contexts)
    yield from _verifications(contexts)
    yield from _memories(contexts, budget)
    for context in contexts:
        yield from (f"  hint, context {context.context}: {hint}" for hint in context.hints)


def _first_tokens(contexts: Sequence[ContextReport]) -> Iterator[str]:
    by_prompt = [{first.prompt: first.milliseconds for first in context.first_token} for context in contexts]
    for prompt in sorted({prompt for times in by_prompt for prompt in times}):
        yield _row(
            f"first token, prompt of {prompt}",
            [_milliseconds(times[prompt]) if prompt in times else "-" for times in by_prompt],
        )


def _decodings(contexts: Sequence[ContextReport]) -> Iterator[str]:
    for index, first in enumerate(contexts[0].decoding):
        label = "tokens/s, one stream" if first.slots == 1 else f"tokens/s, {first.slots} slots (each)"
        yield _row(label, [_speed(context.decoding[index]) for context in contexts])


def _speed(decoding: Decoding) -> str:
    each = "" if decoding.slots == 1 else f" ({decoding.tokens_per_second_each:.2f})"
    return f"{decoding.tokens_per_second:.2f}{each}"


def _verifications(contexts: Sequence[ContextReport]) -> Iterator[str]:
    by_tokens = [{check.tokens: check for check in context.verification} for context in contexts]
    for tokens in sorted({tokens for checks in by_tokens for tokens in checks}):
        yield _row(
            f"tokens/s, 0-{tokens - 1} drafts accepted",
            [_range(checks[tokens]) if tokens in checks else "-" for checks in by_tokens],
        )


def _range(check: Verification) -> str:
    return f"{check.tokens_per_second[0]:.2f}-{check.tokens_per_second[-1]:.1f}"


def _memories(contexts: Sequence[ContextReport], budget: int) -> Iterator[str]:
    """Weights, instructions and scratch memory hardly depend on the slots: they are told of one."""

    def row(label: str, amount: Callable[[Memory], int], index: int = 0) -> str:
        return _row(label, [_size(amount(context.memory[index])) for context in contexts])

    yield row("bundle", lambda memory: memory.bundle)
    yield row("memory: weights", lambda memory: memory.weights)
    yield row("  instructions", lambda memory: memory.instructions)
    for index, first in enumerate(contexts[0].memory):
        yield row(f"  keys, values, {slots_text(first.slots)}", lambda memory: memory.cache, index)
    for index, first in enumerate(contexts[0].memory):
        totals = [context.memory[index].total for context in contexts]
        marked = [_size(total) + "*" * (total > budget) for total in totals]
        yield _row(f"  all, {slots_text(first.slots)}", marked)


def _row(label: str, cells: Sequence[str]) -> str:
    return f"  {label:{_LABEL}}" + "".join(f"{cell:>{_COLUMN}}" for cell in cells)


def _milliseconds(time: float) -> str:
    return f"{time:.0f} ms" if time < 10_000 else f"{time / 1000:.1f} s"


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
