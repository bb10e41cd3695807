"""Jinja as chat templates expect it: what Hugging Face transformers add to it, in a sandbox."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment


def make_environment() -> jinja2.Environment:
    """With ``raise_exception(message)``, ``strftime_now(format)``, ``tojson``, break, continue and generation."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
        undefined=_Absent,
        extensions=["jinja2.ext.loopcontrols", _Generation],
    )
    environment.globals |= {"raise_exception": _raise_exception, "strftime_now": _strftime_now}
    environment.filters["tojson"] = _tojson
    return environment


class _Absent(jinja2.StrictUndefined):
    """What is not there counts as false, for templates ask so for keys that only some messages have.

    To write it is an error: a prompt with a hole in it would be answered all the same.
    """

    __slots__ = ()

    def __bool__(self) -> bool:  # type: ignore[override]  # the base fails there, too
        return False


class _Generation(Extension):
    """``{% generation %}``, which marks for training what the model itself says; the text stays."""

    tags = {"generation"}  # noqa: RUF012  # as Jinja declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateRuntimeError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)


def _tojson(value: Any, indent: int | None = None, **options: Any) -> str:
    """Jinja's own escapes for HTML."""
    return json.dumps(value, ensure_ascii=False, indent=indent, **options)
