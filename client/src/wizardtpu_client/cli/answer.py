"""Shows an answer: as text, as the code in it, or as JSON."""

from __future__ import annotations

import dataclasses
import json
import sys
from abc import ABC, abstractmethod

from wizardtpu_client.cli.code_block import CodeBlock
from wizardtpu_client.cli.printer import Printer
from wizardtpu_client.cli.report import report
from wizardtpu_client.cli.waiting import Waiting
from wizardtpu_client.errors import WizardTPUError
from wizardtpu_client.events import Delta, Event, Queued
from wizardtpu_client.stream import GenerationStream


class Answer(ABC):
    """One way to show an answer."""

    complete = False
    """Whether nothing that may still come would be shown."""

    @abstractmethod
    def show(self, event: Event) -> None: ...

    @abstractmethod
    def end(self, *, whole: bool) -> None:
        """No more comes; `whole` unless the answer broke off."""


def print_answer(stream: GenerationStream, answer: Answer, waiting: Waiting, *, verbose: bool) -> None:
    """Shows the stream's events as they come, then, if verbose, its figures on standard error.

    Stops the daemon once the answer is complete, unless the figures are wanted, which come at the very end.
    """
    try:
        with stream, waiting:
            for event in stream.events():
                if isinstance(event, Queued):
                    waiting.queued(event)
                else:
                    waiting.over()
                answer.show(event)
                if answer.complete and not verbose:
                    break
    except WizardTPUError:
        answer.end(whole=False)
        raise
    answer.end(whole=True)
    if verbose and stream.finished:
        Printer(sys.stderr).write(report(stream.finished))


class TextAnswer(Answer):
    """The text as it comes; a last line that is not ended gets its end, so that what follows has its own."""

    def __init__(self, out: Printer) -> None:
        self._out = out
        self._texts: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self._texts)

    def show(self, event: Event) -> None:
        if isinstance(event, Delta) and event.text:
            self._texts.append(event.text)
            self._out.write(event.text)

    def end(self, *, whole: bool) -> None:  # noqa: ARG002
        if self._texts and not self._texts[-1].endswith("\n"):
            self._out.write("\n")


class CodeAnswer(Answer):
    """The lines of the first code block as they come; of an answer that broke off, only whole lines."""

    def __init__(self, out: Printer) -> None:
        self._out = out
        self._code = CodeBlock()

    def show(self, event: Event) -> None:
        if isinstance(event, Delta):
            self._out.write(self._code.feed(event.text))
            self.complete = self._code.complete

    def end(self, *, whole: bool) -> None:
        if whole:
            self._out.write(self._code.end())


class JsonAnswer(Answer):
    """One JSON object per line and event: its fields and its name as "event"."""

    def __init__(self, out: Printer) -> None:
        self._out = out

    def show(self, event: Event) -> None:
        line = {"event": type(event).__name__.lower(), **dataclasses.asdict(event)}
        self._out.write(json.dumps(line, ensure_ascii=False) + "\n")

    def end(self, *, whole: bool) -> None: ...
