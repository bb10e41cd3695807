"""What is done stays done, and nothing else."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from wizardtpu_compile.errors import OutputError
from wizardtpu_compile.steps.plan import Plan
from wizardtpu_compile.steps.record import RECORD_NAME, StepRecord, made_in
from wizardtpu_compile.steps.step import Step
from wizardtpu_compile.steps.workspace import Workspace


def step(name: str, *needs: str, digest: str = "1", discards: tuple[str, ...] = ()) -> Step:
    return Step(name, digest, needs, memory=0, work=1, run=lambda _directory: {}, discards=discards)


WEIGHTS = step("weights")
LAYER = [
    WEIGHTS,
    step("net1", "weights"),
    step("net2", "weights"),
    step("add", "net1", "net2", discards=("weights", "net1", "net2")),
]


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace(tmp_path / "work") as workspace:
        yield workspace


def do(workspace: Workspace, plan: Plan, *names: str) -> None:
    """As if these steps had run, each making a file."""
    done = plan.steps.keys() - workspace.missing(plan)
    for name in names:
        directory = workspace.begin(plan.steps[name], plan.digests[name], threading.Event())
        (directory.path / "file").write_text(name)
        workspace.finish(name, StepRecord(directory.digest, 1.5, made_in(directory.path), {"cycles": 7}))
        done.add(name)
        workspace.discard(plan, done)


def resume(workspace: Workspace, plan: Plan) -> set[str]:
    """What a later run has to do."""
    missing = workspace.missing(plan)
    workspace.tidy(plan, missing)
    assert workspace.missing(plan) == missing
    return missing


def with_files(workspace: Workspace, names: Collection[str]) -> list[str]:
    return sorted(name for name in names if (workspace.path(name) / "file").exists())


def test_a_record_tells_all(workspace: Workspace) -> None:
    plan = Plan(LAYER)
    do(workspace, plan, "weights")
    assert workspace.record("weights") == StepRecord(plan.digests["weights"], 1.5, {"file": 7}, {"cycles": 7})
    assert workspace.record("net1") is None


@pytest.mark.parametrize(
    ("done", "missing"),
    [
        ([], ["weights", "net1", "net2", "add"]),
        (["weights"], ["net1", "net2", "add"]),
        (["weights", "net1"], ["net2", "add"]),
        (["weights", "net1", "net2"], ["add"]),
        (["weights", "net1", "net2", "add"], []),
    ],
)
def test_every_prefix_is_gone_on_from(workspace: Workspace, done: list[str], missing: list[str]) -> None:
    plan = Plan(LAYER)
    do(workspace, plan, *done)
    assert resume(workspace, plan) == set(missing)
    assert with_files(workspace, plan.steps) == (["add"] if "add" in done else sorted(done))


def test_discarded_steps_are_redone_if_what_discarded_them_is(workspace: Workspace) -> None:
    do(workspace, Plan(LAYER), "weights", "net1", "net2", "add")
    changed = Plan([*LAYER[:3], dataclasses.replace(LAYER[3], digest="2")])
    assert resume(workspace, changed) == {"weights", "net1", "net2", "add"}


def test_a_change_is_followed_by_what_depends_on_it(workspace: Workspace) -> None:
    plan = Plan([step("a"), step("b", "a"), step("c"), step("d", "b", "c")])
    do(workspace, plan, "a", "b", "c", "d")
    changed = Plan([step("a"), step("b", "a", digest="2"), step("c"), step("d", "b", "c")])
    assert resume(workspace, changed) == {"b", "d"}
    assert with_files(workspace, plan.steps) == ["a", "c"]


def test_a_new_shape_needs_the_discarded_weights_again(workspace: Workspace) -> None:
    do(workspace, Plan(LAYER), "weights", "net1", "net2", "add")
    extended = Plan([*LAYER, step("net3", "weights")])
    assert resume(workspace, extended) == {"weights", "net3"}


def test_discarding_that_was_cut_short_is_completed(workspace: Workspace) -> None:
    plan = Plan(LAYER)
    do(workspace, plan, "weights", "net1", "net2", "add")
    (workspace.path("net1") / "file").write_text("net1")
    assert resume(workspace, plan) == set()
    assert with_files(workspace, plan.steps) == ["add"]


@pytest.mark.parametrize("damage", ["missing", "shorter"])
def test_files_that_were_tampered_with_are_made_again_if_needed(workspace: Workspace, damage: str) -> None:
    plan = Plan(LAYER)
    do(workspace, plan, "weights", "net1", "net2")
    file = workspace.path("weights") / "file"
    file.unlink() if damage == "missing" else file.write_text("")
    assert resume(workspace, plan) == {"add"}  # the weights are in the nets
    (workspace.path("net2") / RECORD_NAME).unlink()
    assert resume(workspace, plan) == {"weights", "net2", "add"}


@pytest.mark.parametrize("damage", [b"", b"{", b"{}", b"\xff", b'{"digest": 1}', b"[]"])
def test_a_damaged_record_is_none(workspace: Workspace, damage: bytes) -> None:
    plan = Plan(LAYER)
    do(workspace, plan, "weights", "net1")
    (workspace.path("net1") / RECORD_NAME).write_bytes(damage)
    assert resume(workspace, plan) == {"net1", "net2", "add"}
    assert with_files(workspace, plan.steps) == ["weights"]


def test_what_is_forgotten_is_redone_with_what_it_needs(workspace: Workspace) -> None:
    plan = Plan(LAYER)
    do(workspace, plan, "weights", "net1", "net2", "add")
    workspace.forget("add")
    assert resume(workspace, plan) == set(plan.steps)
    workspace.forget("add")  # it is no error that there is nothing


def test_steps_of_another_plan_are_removed_and_files_of_the_caller_stay(workspace: Workspace) -> None:
    do(workspace, Plan(LAYER), "weights")
    (workspace.directory / "bundle").write_text("the caller's")
    assert resume(workspace, Plan([step("other")])) == {"other"}
    assert sorted(path.name for path in workspace.directory.rglob("*")) == ["bundle", "lock", "steps"]


def test_a_step_begins_in_an_empty_directory(workspace: Workspace) -> None:
    plan = Plan(LAYER)
    do(workspace, plan, "weights")
    (workspace.path("weights") / "sub").mkdir()
    (workspace.path("weights") / "sub" / "more").touch()
    directory = workspace.begin(WEIGHTS, "digest", threading.Event())
    assert [path.name for path in directory.path.iterdir()] == ["log.txt"]
    assert directory.log.read_text() == ""


def test_a_step_sees_only_what_it_says_it_needs(workspace: Workspace) -> None:
    directory = workspace.begin(LAYER[1], "digest", threading.Event())
    assert directory.of("weights") == workspace.path("weights") == directory.path.parent / "weights"
    with pytest.raises(KeyError):
        directory.of("net2")


def test_files_in_directories_count(workspace: Workspace) -> None:
    path = workspace.begin(WEIGHTS, "digest", threading.Event()).path
    (path / "sub").mkdir()
    (path / "sub" / "file").write_text("12345")
    assert made_in(path) == {"sub/file": 5}


def test_a_directory_of_another_kind_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(OutputError, match=r"it holds manifest\.json; move it away"), Workspace(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_a_workspace_that_was_killed_before_its_lock_is_one(tmp_path: Path) -> None:
    (tmp_path / "steps").mkdir()
    with Workspace(tmp_path):
        assert (tmp_path / "lock").exists()


def test_the_lock_names_its_holder(workspace: Workspace) -> None:
    with pytest.raises(OutputError, match=rf"work is in use: process {os.getpid()} is building"):
        Workspace(workspace.directory).__enter__()


def test_the_lock_is_released(tmp_path: Path) -> None:
    for _ in range(2):
        with Workspace(tmp_path / "work"):
            pass


def test_the_lock_of_a_process_that_is_gone_holds_nobody(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, sys; from wizardtpu_compile.steps.workspace import Workspace; "
        "Workspace(pathlib.Path(sys.argv[1])).__enter__(); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, timeout=30)
    assert int((tmp_path / "lock").read_text()) != os.getpid()
    with Workspace(tmp_path):
        assert int((tmp_path / "lock").read_text()) == os.getpid()
