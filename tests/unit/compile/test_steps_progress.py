"""What a person sees of a build's steps."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

import pytest
from rich.console import Console
from wizardtpu_compile.steps.progress import StepBars, StepLines, person_step_progress
from wizardtpu_compile.steps.record import StepRecord
from wizardtpu_compile.steps.step import Step
from wizardtpu_compile.steps.tally import Tally

GB = 1_000_000_000


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def steps(*works: float) -> list[Step]:
    return [
        Step(f"s{i}", "digest", (), memory=0, work=work, run=lambda _directory: {}) for i, work in enumerate(works)
    ]


def record(seconds: float, **report: object) -> StepRecord:
    return StepRecord("digest", seconds, {}, dict(report))


def tally(clock: Clock, todo: Sequence[Step], jobs: int = 1, kept: int = 0) -> Tally:
    return Tally(todo, len(todo) + kept, jobs, clock)


def run(tally: Tally, clock: Clock, step: Step, seconds: float) -> None:
    tally.start(step)
    clock.now += seconds
    tally.finish(step, record(seconds))


def test_before_anything_is_seen_the_work_is_believed() -> None:
    todo = steps(10, 10, 20)
    assert tally(Clock(), todo).seconds_left == 40
    assert tally(Clock(), todo, jobs=2).seconds_left == 20


def test_a_step_is_not_shared_by_jobs() -> None:
    assert tally(Clock(), steps(1, 30), jobs=8).seconds_left == 30


def test_what_was_seen_corrects_what_was_expected() -> None:
    clock, todo = Clock(), steps(*[10] * 100)
    made = tally(clock, todo)
    for step in todo[:50]:
        run(made, clock, step, seconds=20)
    assert made.seconds_left == pytest.approx(1000, rel=0.02)
    assert made.share == 0.5


def test_running_steps_count_as_far_as_they_have_come() -> None:
    clock, todo = Clock(), steps(10, 10)
    made = tally(clock, todo)
    made.start(todo[0])
    clock.now += 4
    assert (made.running, made.seconds_left) == ({"s0": 4}, 16)
    clock.now += 100  # longer than expected: nothing is left of it, and no more
    assert made.seconds_left == 10


def test_all_is_done() -> None:
    clock, todo = Clock(), steps(1)
    made = tally(clock, todo, kept=3)
    assert (made.done, made.total, made.complete) == (3, 4, False)
    run(made, clock, todo[0], 1)
    assert (made.done, made.complete, made.seconds_left, made.share, made.seconds) == (4, True, 0, 1, 1)


def test_nothing_was_to_do() -> None:
    made = tally(Clock(), [], kept=3)
    assert (made.complete, made.seconds_left, made.share) == (True, 0, 1)


def lines(
    capsys: pytest.CaptureFixture[str],
    seconds: Sequence[float],
    verbose: bool = False,
    kept: int = 0,
    total: int = 4,
) -> list[str]:
    """What is printed while some of the steps take this long."""
    clock = Clock()
    todo = steps(*[1.0] * total)
    progress = StepLines(verbose, clock)
    progress.begin(todo, total + kept, jobs=1)
    for step, duration in zip(todo, seconds, strict=False):
        progress.start(step)
        clock.now += duration
        progress.finish(step, record(duration, cycles=123456, peak_memory=3 * GB))
    progress.close()
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


def test_a_short_build_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert lines(capsys, [0.4] * 4) == []


def test_a_line_every_two_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    told = lines(capsys, [0.9, 0.9, 0.9, 0.9])
    assert told == [
        "s2: 0.9 s, 3.0 GB, cycles 123456; 3 of 4 steps, 75%, about 1.0 s left",
        "4 steps in 3.6 s; largest process 3.0 GB",
    ]


def test_all_lines_when_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    told = lines(capsys, [0.1] * 4, verbose=True)
    assert [line.split(":")[0] for line in told[1:-1]] == ["s0", "s1", "s2", "s3"]
    assert told[0] == "4 steps to run, 1 at once"
    assert told[-2] == "s3: 0.1 s, 3.0 GB, cycles 123456; 4 of 4 steps, 100%"


def test_a_build_that_goes_on_says_what_was_kept(capsys: pytest.CaptureFixture[str]) -> None:
    told = lines(capsys, [5] * 4, kept=8)
    assert told[0] == "8 of 12 steps are kept from an earlier build"
    assert told[1].startswith("s0: 5.0 s, 3.0 GB, cycles 123456; 9 of 12 steps, 25%, about ")
    assert told[-1] == "4 steps in 20 s, 8 kept; largest process 3.0 GB"


def test_a_build_that_failed_has_no_summary(capsys: pytest.CaptureFixture[str]) -> None:
    assert [line.split(":")[0] for line in lines(capsys, [5, 5])] == ["s0", "s1"]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.04, "0.0 s"), (12.3, "12 s"), (130, "2 min"), (7000, "1 h 57 min")]
)
def test_durations(capsys: pytest.CaptureFixture[str], seconds: float, words: str) -> None:
    assert lines(capsys, [seconds], verbose=True, total=1)[1].startswith(f"s0: {words}, ")


def test_a_terminal_shows_what_runs() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, _environ={})
    todo = steps(1, 1, 1)
    progress = StepBars(verbose=True, console=console)
    progress.begin(todo, 5, jobs=2)
    progress.start(todo[0])
    progress.start(todo[1])
    progress.finish(todo[0], record(12.0, cosine=0.99987654))
    for step in todo[1:]:
        progress.start(step)
        progress.finish(step, record(1.0, peak_memory=64 * GB))
    progress.close()
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    assert "2 of 5 steps are kept from an earlier build" in shown
    assert "s0: 12 s, cosine 0.9998765" in shown
    assert re.search(r"3 of 5 steps, 33%, about .* left; largest process .*\n\s+s1  0\.\d s", shown)
    assert re.search(r"3 steps in .* s, 2 kept; largest process 64\.0 GB\n$", shown)


def test_what_is_no_terminal_gets_lines() -> None:
    assert isinstance(person_step_progress(verbose=False), StepLines)
