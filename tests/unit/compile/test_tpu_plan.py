"""Which networks a bundle for the BM1684X has, and the steps that make it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from wizardtpu_compile.bmodel.assembly import Assembly
from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.options import TpuOptions
from wizardtpu_compile.simulation.simulator import Simulator
from wizardtpu_compile.steps.plan import Plan
from wizardtpu_compile.steps.step import Step
from wizardtpu_compile.targets.tpu.check import Checker
from wizardtpu_compile.targets.tpu.direct import DirectFrontend
from wizardtpu_compile.targets.tpu.plan import plan
from wizardtpu_compile.targets.tpu.steps import StepMaker
from wizardtpu_compile.toolchain.release import VERSION
from wizardtpu_compile.toolchain.toolchain import Toolchain

from tests.support.edited_checkpoint import edit_tensors

CONTEXT = 32
SMALL = TpuOptions(prefill_chunks=(8, 512), verify_tokens=4, slots=2)


@pytest.fixture(scope="module")
def opened(sound_checkpoint: Path) -> Checkpoint:
    return Checkpoint.open(sound_checkpoint)


def names(opened: Checkpoint, options: TpuOptions) -> list[str]:
    return [network.entry.name for network in plan(opened, options, CONTEXT)]


def test_all_shapes_of_all_networks_in_the_order_of_a_token(opened: Checkpoint) -> None:
    shapes = ("b1_t1", "b1_t4", "b1_t8", "b2_t1")
    assert names(opened, SMALL) == [
        *(f"embedding_{shape}" for shape in shapes),
        *(f"block_{layer}_{shape}_s32" for layer in (0, 1) for shape in shapes),
        *(f"{head}_b{batch}" for head in ("lm_head", "greedy_head") for batch in (1, 2, 4)),
    ]


def test_entries_say_what_names_say(opened: Checkpoint) -> None:
    network = next(each for each in plan(opened, SMALL, CONTEXT) if each.entry.name == "block_1_b2_t1_s32")
    entry = network.entry
    assert (entry.role, entry.batch, entry.tokens, entry.history) == ("block", 2, 1, CONTEXT)
    assert (entry.first_layer, entry.layers, entry.cycles) == (1, 1, None)
    assert network.sizes == {"batch": 2, "tokens": 1, "history": CONTEXT, "total": CONTEXT + 1}
    assert network.form == SMALL.weight_format("block")


def test_several_layers_in_a_network(opened: Checkpoint) -> None:
    options = TpuOptions(prefill_chunks=(), verify_tokens=0, slots=1, layers_per_net=2)
    planned = plan(opened, options, CONTEXT)
    assert [each.entry.name for each in planned] == [
        "embedding_b1_t1",
        "block_0_b1_t1_s32",
        "lm_head_b1",
        "greedy_head_b1",
    ]
    assert (planned[1].entry.first_layer, planned[1].entry.layers) == (0, 2)
    assert planned[1].description.layers == 2


def test_one_layer_alone(opened: Checkpoint) -> None:
    options = TpuOptions(prefill_chunks=(8,), verify_tokens=0, slots=1, only_layer=1)
    assert names(opened, options) == ["block_1_b1_t1_s32", "block_1_b1_t8_s32"]


def steps(opened: Checkpoint, directory: Path, **options: Any) -> dict[str, Step]:
    """The steps of a build; no toolchain is needed to make them."""
    chosen = TpuOptions(**{"prefill_chunks": (8,), "verify_tokens": 0, "slots": 1, **options})
    toolchain = Toolchain(directory, VERSION, "0" * 64, frontend=False)
    checker = Checker(opened.config, Simulator(directory), chosen.check_networks)
    frontend = DirectFrontend(opened.fingerprint(), toolchain, chosen.num_device)
    maker = StepMaker(frontend, checker, Assembly.open(directory / "model.bmodel"))
    return {step.name: step for step in maker.steps(plan(opened, chosen, CONTEXT))}


def test_shapes_of_a_layer_share_its_weights_and_are_added_once_checked(
    opened: Checkpoint, tmp_path: Path
) -> None:
    made = steps(opened, tmp_path, check_networks="all")
    additions = [step for name, step in made.items() if name.endswith(".add")]
    for shape in ("block_0_b1_t1_s32", "block_0_b1_t8_s32"):
        assert "block_0.weights" in made[shape].needs
        assert made[f"{shape}.check"].needs == (shape,)
        (addition,) = (step for step in additions if shape in step.needs)
        assert f"{shape}.check" in addition.needs
        assert shape in addition.discards
    assert sum("block_0.weights" in step.discards for step in additions) == 1


def test_additions_have_one_order(opened: Checkpoint, tmp_path: Path) -> None:
    """Or the same build would give another file when other steps are slow."""
    made = steps(opened, tmp_path)
    additions = [step for name, step in made.items() if name.endswith(".add")]
    assert len(additions) >= 5
    for before, after in itertools.pairwise(additions):
        assert before.name in after.needs


@pytest.mark.parametrize(("checks", "count"), [("none", 0), ("all", 8), ("auto", 8)])
def test_checks(opened: Checkpoint, tmp_path: Path, checks: str, count: int) -> None:
    """All networks of a model this small are checked unless that is declined."""
    made = steps(opened, tmp_path, check_networks=checks)
    assert sum(name.endswith(".check") for name in made) == count


def test_large_networks_are_checked_only_when_asked_to(opened: Checkpoint, tmp_path: Path) -> None:
    network = plan(opened, SMALL, CONTEXT)[4]
    weights = network.description.parameters
    auto, everything, nothing = (
        Checker(opened.config, Simulator(tmp_path), checks) for checks in ("auto", "all", "none")
    )
    assert auto.wants(network)
    assert not nothing.wants(network)
    many = next(
        each
        for each in plan(opened, TpuOptions(slots=8_000_000_000 // weights), CONTEXT)
        if each.entry.name.startswith("block_0") and each.entry.batch > 1
    )
    assert not auto.wants(many)
    assert everything.wants(many)


CHANGES: list[tuple[dict[str, Any], set[str]]] = [
    ({"quantize": "int8"}, {"block_0", "block_1"}),
    ({"group_size": 32}, {"block_0", "block_1", "lm_head"}),
    ({"lm_head": "f16"}, {"lm_head"}),
]


@pytest.mark.parametrize(("changed", "concerned"), CHANGES)
def test_a_changed_option_changes_the_steps_it_concerns(
    opened: Checkpoint, tmp_path: Path, changed: dict[str, Any], concerned: set[str]
) -> None:
    """And of other networks none but additions: the file has one order."""
    before, after = (Plan(steps(opened, tmp_path, **options).values()).digests for options in ({}, changed))
    assert before.keys() == after.keys()
    different = {name for name in before if before[name] != after[name] and not name.endswith(".add")}
    assert different == {
        name for name in before if name.startswith(tuple(concerned)) and not name.endswith(".add")
    }


def test_names_and_force_change_no_step(opened: Checkpoint, tmp_path: Path) -> None:
    """What is in the manifest alone can be changed without compiling anything."""
    before, after = (
        Plan(steps(opened, tmp_path, **options).values()).digests
        for options in ({}, {"name": "other", "force": True, "jobs": 3, "chat_template": "{{ messages }}"})
    )
    assert before == after


def test_other_weights_change_what_is_made_of_them(checkpoint: Path, tmp_path: Path) -> None:
    before = Plan(steps(Checkpoint.open(checkpoint), tmp_path).values()).digests
    edit_tensors(checkpoint, {"transformer.h.1.mlp.c_proj.bias": np.ones(64, np.float16)})
    after = Plan(steps(Checkpoint.open(checkpoint), tmp_path).values()).digests
    assert {name for name in ("block_1.weights", "block_1_b1_t8_s32") if before[name] == after[name]} == set()
