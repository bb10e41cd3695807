"""What the daemon is doing now."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys

from wizardtpu_client.cli.devices import device_line
from wizardtpu_client.cli.exit_code import ExitCode
from wizardtpu_client.cli.printer import Printer
from wizardtpu_client.cli.waiting import Waiting
from wizardtpu_client.client import Client
from wizardtpu_client.server import Status


def status(client: Client, arguments: argparse.Namespace, _waiting: Waiting) -> ExitCode:
    now = client.status()
    Printer(sys.stdout).write((_json(now) if arguments.json else _table(now, client.address)) + "\n")
    return ExitCode.OK


def _json(now: Status) -> str:
    started_at = now.started_at.isoformat() if now.started_at else None
    return json.dumps({**dataclasses.asdict(now), "started_at": started_at})


def _table(now: Status, address: str) -> str:
    since = f"{now.started_at.astimezone():%Y-%m-%d %H:%M:%S}" if now.started_at else "unknown"
    text = (
        f"wizardtpud {now.version} at {address}: {now.state.value}\n"
        f"queue     {now.queue_depth} of {now.queue_capacity} places taken\n"
        f"running   {now.running} of {now.slots} slots\n"
        f"since     {since}\n"
        f"done      {now.finished_requests} requests, {now.generated_tokens} tokens"
    )
    return "\n".join((text, *map(device_line, now.devices)))
