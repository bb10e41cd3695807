"""The command `wizardtpu-client`: chooses what to do, and says what went wrong."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence

from wizardtpu_client.cli.arguments import parse
from wizardtpu_client.cli.ask import ask
from wizardtpu_client.cli.chat import chat
from wizardtpu_client.cli.exit_code import ExitCode, UsageError, exit_code_of
from wizardtpu_client.cli.explanation import explain
from wizardtpu_client.cli.model import model
from wizardtpu_client.cli.printer import Printer
from wizardtpu_client.cli.standard_streams import abandon_stdout, prepare_streams
from wizardtpu_client.cli.status import status
from wizardtpu_client.cli.waiting import Waiting
from wizardtpu_client.client import Client
from wizardtpu_client.errors import WizardTPUError
from wizardtpu_client.retry import Retry

Command = Callable[[Client, argparse.Namespace, Waiting], ExitCode]
_COMMANDS: dict[str, Command] = {"ask": ask, "chat": chat, "model": model, "status": status}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command with the given arguments (those of the process by default); returns the exit code."""
    prepare_streams()
    arguments = parse(sys.argv[1:] if argv is None else argv)
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        if sys.stderr.isatty():  # the terminal has put ^C into the line
            sys.stderr.write("\n")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        abandon_stdout()
        return ExitCode.BROKEN_PIPE
    except OSError as error:
        abandon_stdout()
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
        return _fail(explain(error), exit_code_of(error))


def _client(arguments: argparse.Namespace, waiting: Waiting) -> Client:
    try:
        return Client(arguments.address, timeout=arguments.timeout, retry=Retry(on_wait=waiting.before_retry))
    except ValueError as error:
        raise UsageError(str(error)) from None


def _fail(message: str, code: ExitCode) -> ExitCode:
    Printer(sys.stderr).write(f"wizardtpu-client: {message}\n")
    return code


def _print_json_error(error: WizardTPUError) -> None:
    line = {"event": "error", "code": error.code.name, "reason": error.reason, "message": error.message}
    Printer(sys.stdout).write(json.dumps(line) + "\n")
