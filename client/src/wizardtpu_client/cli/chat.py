"""A conversation of many turns at the terminal."""

from __future__ import annotations

import argparse
import contextlib
import sys

from wizardtpu_client.cli.answer import TextAnswer, print_answer
from wizardtpu_client.cli.exit_code import ExitCode, UsageError, exit_code_of
from wizardtpu_client.cli.explanation import explain
from wizardtpu_client.cli.options import generation_options
from wizardtpu_client.cli.printer import Printer
from wizardtpu_client.cli.waiting import Waiting
from wizardtpu_client.client import Client
from wizardtpu_client.errors import InvalidRequest, WizardTPUError
from wizardtpu_client.request import Message

WELCOME = "Ctrl-C stops an answer and forgets the question; /reset forgets all; /exit or Ctrl-D ends the chat.\n"


def chat(client: Client, arguments: argparse.Namespace, waiting: Waiting) -> ExitCode:
    """Reads a line, prints the answer, and so on; returns the exit code of the last answer."""
    return _Chat(client, arguments, waiting).run()


class _Chat:
    def __init__(self, client: Client, arguments: argparse.Namespace, waiting: Waiting) -> None:
        self._client = client
        self._arguments = arguments
        self._waiting = waiting
        self._interactive = sys.stdin.isatty() and sys.stdout.isatty()
        self._notes = Printer(sys.stderr)
        self._last = ExitCode.OK
        self._reset()

    def run(self) -> ExitCode:
        if self._interactive:
            with contextlib.suppress(ImportError):  # not every Python is built with it
                import readline  # noqa: F401, PLC0415 -- importing it gives input() line editing
            self._notes.write(WELCOME)
        while self._goes_on():
            pass
        return self._last

    def _goes_on(self) -> bool:
        """One turn; False if the person has left. At a terminal, Ctrl-C ends the turn but not the conversation."""
        try:
            line = input("> " if self._interactive else "").strip()
            if line and line != "/exit":
                self._turn(line)
        except EOFError:
            return False
        except UnicodeDecodeError as error:
            if not self._interactive:
                raise UsageError(f"standard input is not {error.encoding.upper()} text") from None
            self._notes.write(f"this is not {error.encoding.upper()} text\n")
            return True
        except KeyboardInterrupt:
            if not self._interactive:
                raise
            self._notes.write("\n")
            return True
        return line != "/exit"

    def _turn(self, line: str) -> None:
        if line == "/reset":
            self._reset()
        elif line.startswith("/"):
            self._notes.write(f"no such command: {line} (there are /reset and /exit)\n")
        else:
            self._say(line)

    def _say(self, text: str) -> None:
        """Asks, and remembers question and answer if the answer was complete."""
        question = Message("user", text)
        try:
            self._conversation += [question, Message("assistant", self._answer([*self._conversation, question]))]
            self._last = ExitCode.OK
        except WizardTPUError as error:
            self._notes.write(explain(error) + self._way_on(error) + "\n")
            self._last = exit_code_of(error)

    def _way_on(self, error: WizardTPUError) -> str:
        """A conversation that has become too long cannot go on: each further turn would be refused as well."""
        too_long = isinstance(error, InvalidRequest) and any(turn.role == "user" for turn in self._conversation)
        return " (/reset forgets the conversation)" if too_long else ""

    def _answer(self, messages: list[Message]) -> str:
        answer = TextAnswer(Printer(sys.stdout))
        stream = self._client.generate(messages=messages, **generation_options(self._arguments))
        print_answer(stream, answer, self._waiting, verbose=self._arguments.verbose)
        return answer.text

    def _reset(self) -> None:
        system = self._arguments.system
        self._conversation = [] if system is None else [Message("system", system)]
