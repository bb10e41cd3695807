from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from wizardtpud.observability.logging import configure, log
from wizardtpud.observability.outcome import Outcome

NASTY = "\n\r\t\0\x1b[31m\x7f\x85\u2028\u202e"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("wizardtpud")
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], own.level = handlers, logging.NOTSET
    root.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def records(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(capsys)]


def fail_and_log(reason: str) -> None:
    try:
        raise ValueError(reason)
    except ValueError:
        log.exception("failed", id=1)


def test_a_line_of_text(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "text")
    log.info("request ended", id="0f3a", outcome=Outcome.MAX_TOKENS, tokens=12, seconds=0.123456789)

    (line,) = lines(capsys)
    time, rest = line.split(" ", 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time)
    assert rest == "INFO request ended id=0f3a outcome=max_tokens tokens=12 seconds=0.123457"


def test_an_object_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    log.warning("request ended", id="0f3a", outcome=Outcome.MAX_TOKENS, tokens=12, error=ValueError("no"))

    (record,) = records(capsys)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record.pop("time"))
    assert record == {
        "level": "warning",
        "message": "request ended",
        "id": "0f3a",
        "outcome": "max_tokens",
        "tokens": 12,
        "error": "no",
    }


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("two words", '"two words"'),
        ("", '""'),
        ('a"b', r'"a\"b"'),
        ("a\\b", r'"a\\b"'),
        ("a=b", '"a=b"'),
        ("é好", "é好"),
        ("a\nb", r'"a\nb"'),
    ],
)
def test_values_that_could_be_misread_are_quoted(
    capsys: pytest.CaptureFixture[str], value: str, written: str
) -> None:
    configure("info", "text")
    log.info("m", v=value)

    assert lines(capsys)[0].endswith(f" INFO m v={written}")


@pytest.mark.parametrize("style", ["text", "json"])
def test_no_value_can_forge_a_record(capsys: pytest.CaptureFixture[str], style: Any) -> None:
    configure("info", style)
    log.info(f"message{NASTY}2026-01-01T00:00:00.000Z INFO forged", v=f"value{NASTY}forged")

    written = capsys.readouterr().err
    assert written.endswith("\n")
    assert written[:-1].isprintable()


def test_json_brings_back_what_was_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    log.info(NASTY, v=NASTY, lone="\ud800")

    (record,) = records(capsys)
    assert (record["message"], record["v"], record["lone"]) == (NASTY, NASTY, "\ud800")


def test_fields_without_a_value_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "text")
    log.info("m", a=None, b=0)

    assert lines(capsys)[0].endswith(" INFO m b=0")


@pytest.mark.parametrize(("level", "count"), [("error", 1), ("warning", 2), ("info", 3), ("debug", 4)])
def test_the_level_says_what_is_written(capsys: pytest.CaptureFixture[str], level: str, count: int) -> None:
    configure(level, "text")
    log.debug("d")
    log.info("i")
    log.warning("w")
    log.error("e")

    assert len(lines(capsys)) == count


def test_warnings_of_libraries_are_written_in_the_same_style(capsys: pytest.CaptureFixture[str]) -> None:
    configure("debug", "text")
    logging.getLogger("library").info("not this")
    logging.getLogger("library").warning("a %s", "b\nc")

    (line,) = lines(capsys)
    assert line.endswith(r" WARNING a b\nc logger=library")


def test_a_traceback_is_indented_and_cannot_forge_a_record(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "text")
    fail_and_log(f"bad\n2026-01-01T00:00:00.000Z INFO forged{NASTY}")

    first, *rest = capsys.readouterr().err.removesuffix("\n").split("\n")
    assert first.endswith(" ERROR failed id=1")
    assert all(line.startswith("  ") and line.isprintable() for line in rest)
    assert "ValueError: bad" in "".join(rest)


def test_a_traceback_is_a_field_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    fail_and_log("bad")

    (record,) = records(capsys)
    assert record["traceback"].endswith("ValueError: bad")
