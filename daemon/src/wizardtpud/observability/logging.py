"""Structured logs: a message and its fields, one record per line, as text or JSON.

``log.info("request finished", id=request_id, outcome="max_tokens")`` writes
``2026-11-02T10:20:30.123Z INFO request finished id=0f3a outcome=max_tokens``.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone
from enum import Enum
from typing import Literal


class FieldLogger:
    """A logger whose keyword arguments become the fields of the record."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, message: str, /, **fields: object) -> None:
        self._logger.debug(message, extra={"fields": fields})

    def info(self, message: str, /, **fields: object) -> None:
        self._logger.info(message, extra={"fields": fields})

    def warning(self, message: str, /, **fields: object) -> None:
        self._logger.warning(message, extra={"fields": fields})

    def error(self, message: str, /, **fields: object) -> None:
        self._logger.error(message, extra={"fields": fields})

    def exception(self, message: str, /, **fields: object) -> None:
        """An error with the traceback of the exception being handled: for the daemon's own faults."""
        self._logger.exception(message, extra={"fields": fields})


log = FieldLogger("wizardtpud")
"""The daemon's logger."""


def configure(level: str, style: Literal["text", "json"]) -> None:
    """Send all logs of the process to stderr, in one style.

    Args:
        level: the least important of the daemon's own records to write; of libraries, warnings are written.
        style: how to write a record.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextFormatter() if style == "text" else JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("wizardtpud").setLevel(level.upper())


class _Formatter(logging.Formatter):
    """What both styles share: UTC, and which fields are written: those with a value."""

    def _time(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, timezone.utc)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _fields(self, record: logging.LogRecord) -> dict[str, object]:
        fields: dict[str, object] = getattr(record, "fields", {})
        shown = {name: _plain(value) for name, value in fields.items() if value is not None}
        if not record.name.startswith("wizardtpud"):
            shown["logger"] = record.name
        return shown


class TextFormatter(_Formatter):
    """``time LEVEL message name=value ...``, then the traceback, if there is one, indented.

    What could be mistaken for something else is escaped: no value can begin a line or forge a field.
    """

    def format(self, record: logging.LogRecord) -> str:
        fields = [f" {name}={_quoted(str(value))}" for name, value in self._fields(record).items()]
        line = f"{self._time(record)} {record.levelname} {_escaped(record.getMessage())}{''.join(fields)}"
        if record.exc_info:
            line += "".join(f"\n  {_escaped(text)}" for text in self.formatException(record.exc_info).split("\n"))
        return line


class JsonFormatter(_Formatter):
    """One object per line: ``time``, ``level``, ``message``, the fields, ``traceback`` if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        parts = {"time": self._time(record), "level": record.levelname.lower(), "message": record.getMessage()}
        if record.exc_info:
            parts["traceback"] = self.formatException(record.exc_info)
        return json.dumps({**self._fields(record), **parts}, default=str)


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _quoted(text: str) -> str:
    """`text` as the value of a field: in quotes unless it is one plain word."""
    if text and text.isprintable() and not any(character in ' "=\\' for character in text):
        return text
    return f'"{_escaped(text.replace(chr(92), chr(92) * 2).replace(chr(34), chr(92) + chr(34)))}"'


def _escaped(text: str) -> str:
    """`text` with control, line-ending and direction-changing characters written as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
