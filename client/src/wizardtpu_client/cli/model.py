"""Which model the daemon holds."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys

from wizardtpu_client.cli.exit_code import ExitCode
from wizardtpu_client.cli.printer import Printer
from wizardtpu_client.cli.waiting import Waiting
from wizardtpu_client.client import Client
from wizardtpu_client.server import Model


def model(client: Client, arguments: argparse.Namespace, _waiting: Waiting) -> ExitCode:
    found = client.model()
    text = json.dumps(dataclasses.asdict(found), ensure_ascii=False) if arguments.json else _table(found)
    Printer(sys.stdout).write(text + "\n")
    return ExitCode.OK


def _table(found: Model) -> str:
    kind = ", ".join(filter(None, (found.architecture, found.quantization)))
    return (
        f"model       {found.name} ({kind})\n"
        f"target      {found.target}\n"
        f"context     {found.context_length} tokens, prompt and answer together\n"
        f"vocabulary  {found.vocabulary_size} tokens\n"
        f"sampling    {'available' if found.sampling else 'greedy only'}\n"
        f"bundle      {found.bundle_digest}"
    )
