from __future__ import annotations

import logging
from io import BytesIO

import pytest
from wizardtpud.observability.chatter import Chatter, level_of
from wizardtpud.observability.chatter_reader import read


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("begin to cmodel init...", "debug"),
        ("[0] do_allreduce: 0.", "debug"),
        ("BMLIB Send Quit Message", "debug"),
        ("[BMRT][load_bmodel:1084] INFO:Loading bmodel from [model]. Errors are possible...", "debug"),
        ("[BMRT][load_bmodel:723] INFO : Loading bmodel", "debug"),
        ("[BMRT][load_bmodel:12] WARNING:the model is old", "warning"),
        ("[BMRT][must_alloc_device_mem:2682] FATAL:device mem alloc failed", "error"),
        ("[BMODEL][ModelCtx:538] FATAL: File[model] is broken ...", "error"),
        ("[bmlib_memory][error] bm_alloc_gmem failed, dev_id = 0, size = 0x20", "error"),
        ("[2026-11-02 10:20:30.123] [info] [engine.cpp:12] loaded", "debug"),
        ("ASSERT /workspace/bmlib_mmpool.cpp: bm_mem_pool_alloc: 61: 0", "error"),
        ("ASSERT info: none.", "error"),
        ("ERROR: ASSERT a.c: f: 1: x", "error"),
        ("Memory exhausted: cannot find a slot.", "warning"),
        ("malloc device memory size = 12 failed, ret = 5", "warning"),
        ("information", "debug"),
        ("", "debug"),
    ],
)
def test_the_level_of_a_line(line: str, level: str) -> None:
    assert level_of(line) == level


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def logs(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "wizardtpud")
    return caplog


def texts(logs: pytest.LogCaptureFixture) -> list[tuple[str, int | None]]:
    """Each line that was logged, and how often it had come again."""
    fields = [record.fields for record in logs.records]  # type: ignore[attr-defined]
    return [(each["text"], each["again"]) for each in fields]


def test_what_is_said_again_and_again_is_counted(logs: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    chatter = Chatter(clock)
    for _ in range(40):
        chatter.take("[0] do_allreduce: 0.")
        chatter.take("[0] done")
    chatter.take("once")
    assert texts(logs) == [("[0] do_allreduce: 0.", None), ("[0] done", None), ("once", None)]

    logs.clear()
    clock.now += 10
    chatter.take("once")
    assert texts(logs) == [("[0] do_allreduce: 0.", 39), ("[0] done", 39), ("once", None)]


def test_at_the_end_it_is_told_what_was_counted(logs: pytest.LogCaptureFixture) -> None:
    read(BytesIO(b"a\nb\n\na\na"))
    assert texts(logs) == [("a", None), ("b", None), ("a", 2)]


def test_ever_new_lines_take_no_more_and_more_memory(logs: pytest.LogCaptureFixture) -> None:
    chatter = Chatter(Clock())
    for number in range(5000):
        chatter.take(str(number))
    assert len(texts(logs)) == 5000
    assert len(chatter._seen) <= 1000


def test_a_line_without_end_is_read_in_parts(logs: pytest.LogCaptureFixture) -> None:
    read(BytesIO(b"x" * 10_000))
    assert [(len(text), again) for text, again in texts(logs)] == [(4096, None), (1808, None), (4096, 1)]
