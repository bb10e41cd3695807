"""The command `wizardtpu-client`: chooses what to do, and says what went wrong."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Callable, Sequence

from wizardtpu_client.address import ENVIRONMENT
from wizardtpu_client.cli.arguments import parse
from wizardtpu_client.cli.ask import ask
from wizardtpu_client.cli.chat import chat
from wizardtpu_client.cli.exit_code import ExitCode, UsageError, exit_code_of
from wizardtpu_client.cli.model import model
from wizardtpu_client.cli.printer import Printer
from wizardtpu_client.cli.status import status
from wizardtpu_client.cli.waiting import Waiting
from wizardtpu_client.client import Client
from wizardtpu_client.errors import ConnectionFailed, WizardTPUError
from wizardtpu_client.retry import Retry

Command = Callable[[Client, argparse.Namespace, Waiting], ExitCode]
_COMMANDS: dict[str, Command] = {"ask": ask, "chat": chat, "model": model, "status": status}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command with the given arguments (those of the process by default); returns the exit code."""
    arguments = parse(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper):  # an answer may hold what the terminal's encoding cannot
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        _abandon_stdout()
        return ExitCode.BROKEN_PIPE
    except OSError as error:
        _abandon_stdout()
        return _fail(f"cannot read or write: {error.strerror}", ExitCode.FAILED)


def _run(arguments: argparse.Namespace) -> ExitCode:
    try:
        with Waiting(sys.stderr) as waiting, _client(arguments, waiting) as client:
            return _COMMANDS[arguments.command](client, arguments, waiting)
    except UsageError as error:
        return _fail(str(error), ExitCode.USAGE)
    except WizardTPUError as error:
        if arguments.json:
            _print_json_error(error)
        return _fail(error.message + _cure(error), exit_code_of(error))


def _client(arguments: argparse.Namespace, waiting: Waiting) -> Client:
    try:
        return Client(arguments.address, timeout=arguments.timeout, retry=Retry(on_wait=waiting.before_retry))
    except ValueError as error:
        raise UsageError(str(error)) from None


def _fail(message: str, code: ExitCode) -> ExitCode:
    Printer(sys.stderr).write(f"wizardtpu-client: {message}\n")
    return code


def _cure(error: WizardTPUError) -> str:
    if isinstance(error, ConnectionFailed):
        return f" (is it running? --address or {ENVIRONMENT} says where)"
    return ""


def _print_json_error(error: WizardTPUError) -> None:
    line = {"event": "error", "code": error.code.name, "reason": error.reason, "message": error.message}
    Printer(sys.stdout).write(json.dumps(line) + "\n")


def _abandon_stdout() -> None:
    """Gives the interpreter's last flush somewhere to go, so that it does not complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
