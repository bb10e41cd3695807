"""One question, one answer."""

from __future__ import annotations

import argparse
import sys

from wizardtpu_client.cli.answer import Answer, CodeAnswer, JsonAnswer, TextAnswer, print_answer
from wizardtpu_client.cli.exit_code import ExitCode
from wizardtpu_client.cli.options import generation_options
from wizardtpu_client.cli.printer import Printer
from wizardtpu_client.cli.question import question
from wizardtpu_client.cli.waiting import Waiting
from wizardtpu_client.client import Client
from wizardtpu_client.request import Message
from wizardtpu_client.stream import GenerationStream


def ask(client: Client, arguments: argparse.Namespace, waiting: Waiting) -> ExitCode:
    print_answer(_stream(client, arguments), _answer(arguments), waiting, verbose=arguments.verbose)
    return ExitCode.OK


def _answer(arguments: argparse.Namespace) -> Answer:
    out = Printer(sys.stdout)
    if arguments.json:
        return JsonAnswer(out)
    return CodeAnswer(out) if arguments.extract else TextAnswer(out)


def _stream(client: Client, arguments: argparse.Namespace) -> GenerationStream:
    text = question(arguments.words)
    options = generation_options(arguments)
    if arguments.raw:
        return client.generate(prompt=text, **options)
    text = text.rstrip("\n")
    if arguments.system is not None:
        return client.generate(messages=[Message("system", arguments.system), Message("user", text)], **options)
    return client.generate(text, **options)
