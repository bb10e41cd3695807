"""From the costs of networks to what a model will do on the chip, with costs that a compiler once told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wizardtpu_compile.checkpoint.checkpoint import expected_shapes
from wizardtpu_compile.checkpoint.config import ModelConfig
from wizardtpu_compile.errors import OptionError
from wizardtpu_compile.estimate.architectures import PUBLISHED
from wizardtpu_compile.estimate.compose import compose
from wizardtpu_compile.estimate.cost import Costs, NetCost
from wizardtpu_compile.estimate.options import EstimateOptions
from wizardtpu_compile.estimate.report import ContextReport, Report
from wizardtpu_compile.estimate.text import lines

RECORDED = Path(__file__).parent / "starcoder_costs.json"
CONFIG = PUBLISHED["starcoder"]
OPTIONS = EstimateOptions(contexts=(512, 8192), precisions=("int4",))


def recorded_costs() -> Costs:
    """Of every network of OPTIONS, by the compiler of tpu_mlir 1.30.2."""
    by_name = {name: NetCost(**cost) for name, cost in json.loads(RECORDED.read_text()).items()}
    nets = {net for context in (512, 8192) for net in OPTIONS.nets(context)}
    return {net: by_name[net.name] for net in nets}


def report(options: EstimateOptions = OPTIONS) -> Report:
    return compose("starcoder", CONFIG, options, {"int4": recorded_costs()}, "1.30.2")


@pytest.fixture(scope="module")
def contexts() -> dict[int, ContextReport]:
    return {context.context: context for context in report().precisions[0].contexts}


class TestStarCoder:
    """What the design of bundles counts on."""

    def test_one_stream(self, contexts: dict[int, ContextReport]) -> None:
        assert contexts[512].decoding[0].slots == 1
        assert contexts[512].decoding[0].tokens_per_second >= 6.0

    def test_a_long_context_costs_little(self, contexts: dict[int, ContextReport]) -> None:
        short, long = (contexts[context].decoding[0].tokens_per_second for context in (512, 8192))
        assert 0.94 * short <= long <= short

    def test_eight_slots_cost_little_more_than_one(self, contexts: dict[int, ContextReport]) -> None:
        eight = next(speed for speed in contexts[512].decoding if speed.slots == 8)
        assert eight.tokens_per_second >= 45
        assert eight.tokens_per_second == pytest.approx(8 * eight.tokens_per_second_each, rel=1e-3)

    def test_first_token_of_a_short_prompt(self, contexts: dict[int, ContextReport]) -> None:
        first = next(first for first in contexts[512].first_token if first.prompt == 64)
        assert first.steps == [64]
        assert first.milliseconds <= 210

    def test_a_step_is_all_layers_with_embedding_and_heads(self, contexts: dict[int, ContextReport]) -> None:
        cycles = {net.name: net.cycles for net in contexts[512].networks}
        step = 40 * cycles["block_0_b1_t1_s512"] + sum(
            cycles[name] for name in ("embedding_b1_t1", "lm_head_b1", "greedy_head_b1")
        )
        assert contexts[512].decoding[0].milliseconds == pytest.approx(step / 1e6, abs=1e-4)

    def test_accepted_drafts_multiply_the_speed(self, contexts: dict[int, ContextReport]) -> None:
        for check in contexts[512].verification:
            assert len(check.tokens_per_second) == check.tokens
            assert check.tokens_per_second[-1] == pytest.approx(
                check.tokens * check.tokens_per_second[0], rel=1e-3
            )

    def test_memory(self, contexts: dict[int, ContextReport]) -> None:
        one, eight = contexts[8192].memory[:2]
        assert (one.slots, eight.slots) == (1, 8)
        assert one.cache == 40 * 2 * 8192 * 128 * 2
        assert eight.cache == 8 * one.cache
        assert one.total == one.weights + one.instructions + one.scratch + one.cache
        assert 8.9e9 < one.weights == eight.weights < 9.5e9
        assert one.bundle == one.weights + one.instructions


@given(st.data())
def test_longer_prompts_and_more_layers_never_take_less(data: st.DataObject) -> None:
    cycles = st.integers(1, 10**7)
    options = EstimateOptions(
        contexts=(64,), precisions=("int4",), verify=(8,), slots=(2, 3), prefill_chunks=(16,)
    )
    costs = {net: NetCost(data.draw(cycles), 7, 5, 2) for net in options.nets(64)}
    layers = data.draw(st.integers(1, 50))

    def context(layers: int) -> ContextReport:
        config = msgspec.structs.replace(CONFIG, n_layer=layers)
        return compose("m", config, options, {"int4": costs}, "1").precisions[0].contexts[0]

    fewer, more = context(layers), context(layers + 1)
    assert [one.slots for one in fewer.decoding] == [1, 2, 3]
    assert all(
        one.milliseconds < other.milliseconds for one, other in zip(fewer.decoding, more.decoding, strict=True)
    )
    assert all(
        one.milliseconds < other.milliseconds
        for one, other in zip(fewer.first_token, more.first_token, strict=True)
    )
    speeds = [check.tokens_per_second for check in fewer.verification]
    assert all(one == sorted(one) for one in speeds)
    totals = [memory.total for memory in fewer.memory]
    assert totals == sorted(totals)
    assert totals[-1] < more.memory[-1].total


def test_a_shape_that_is_beaten_by_a_larger_one_is_told() -> None:
    options = EstimateOptions(contexts=(64,), precisions=("int4",), verify=(4, 8), slots=(2, 3), prefill_chunks=())
    slow = {"block_0_b1_t4_s64": 9_000_000, "block_0_b1_t8_s64": 5_000_000, "block_0_b2_t1_s64": 8_000_000}
    costs = {net: NetCost(slow.get(net.name, 6_000_000), 0, 0, 0) for net in options.nets(64)}
    context = compose("m", CONFIG, options, {"int4": costs}, "1").precisions[0].contexts[0]
    steps = [hint for hint in context.hints if "takes longer" in hint]
    assert [hint.split(" takes")[0] for hint in steps] == ["a step of 4 tokens", "a step of 2 slots"]
    assert ["use 8 instead" in steps[0], "use 3 instead" in steps[1]] == [True, True]


def test_prompts_are_read_in_the_cheapest_steps() -> None:
    options = EstimateOptions(contexts=(512,), precisions=("int4",), verify=(), slots=(), prefill_chunks=(64, 256))
    slow = {"block_0_b1_t64_s512": 1_000_000, "block_0_b1_t256_s512": 8_000_000}
    costs = {net: NetCost(slow.get(net.name, 500_000), 0, 0, 0) for net in options.nets(512)}
    context = compose("m", CONFIG, options, {"int4": costs}, "1").precisions[0].contexts[0]
    assert {first.prompt: first.steps for first in context.first_token}[128] == [64, 64]


def test_slots_that_leave_the_memory_are_told() -> None:
    options = EstimateOptions(contexts=(512,), precisions=("int4",), verify=(), slots=(2, 4), prefill_chunks=())
    costs = {net: NetCost(1, 0, 0, 14336 * 2**20 - 30_000_000) for net in options.nets(512)}
    context = compose("m", CONFIG, options, {"int4": costs}, "1").precisions[0].contexts[0]
    assert [hint for hint in context.hints if hint.startswith("with 4 slots it takes 15.0 GB")]
    assert not [hint for hint in context.hints if hint.startswith("with 2 slots")]


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "fault"),
        [
            ({"contexts": ()}, "--context: at least one"),
            ({"contexts": (1,)}, "--context 1: must be from 2 to the model's 8192 positions"),
            ({"contexts": (512, 8193)}, "--context 8193"),
            ({"prefill_chunks": (0,)}, "--prefill-chunks 0: must be at least 1"),
            ({"verify": (8, 1)}, "--verify 1: must be at least 2"),
            ({"slots": (0,)}, "--slots 0: must be at least 1"),
            ({"num_device": 3}, "--num-device 3"),
            ({"group_size": 0}, "--group-size 0: must be at least 1"),
            ({"group_size": 100}, "--group-size 100: must divide 6144 and 24576"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, options: dict[str, Any], fault: str) -> None:
        with pytest.raises(OptionError, match=fault):
            EstimateOptions(**options).check(CONFIG)

    def test_contexts_are_those_the_model_has_positions_for(self) -> None:
        def usual(positions: int) -> list[int]:
            config = msgspec.structs.replace(CONFIG, n_positions=positions)
            return EstimateOptions().checked_contexts(config)

        assert (usual(8192), usual(2048), usual(100)) == ([512, 2048, 8192], [512, 2048], [100])

    def test_networks_of_a_bundle(self) -> None:
        options = EstimateOptions(prefill_chunks=(4, 64), verify=(8,), slots=(1, 3))
        assert {net.name for net in options.nets(32)} == {
            *(f"{name}_b1_t{tokens}{rest}" for tokens in (1, 4, 8) for name, rest in (("embedding", ""),)),
            *("block_0_b1_t1_s32", "block_0_b1_t4_s32", "block_0_b1_t8_s32", "block_0_b3_t1_s32"),
            "embedding_b3_t1",
            *(f"{head}_b{rows}" for head in ("lm_head", "greedy_head") for rows in (1, 3, 8)),
        }


class TestText:
    def test_every_number_of_the_tables_has_its_row(self) -> None:
        text = "\n".join(lines(report()))
        assert "not measured" in text
        assert "int4, groups of 64, lm_head int8" in text
        for label in ("tokens/s, one stream", "tokens/s, 8 slots (each)", "first token, prompt of 64", "bundle"):
            assert label in text

    def test_prompts_beyond_a_context_have_no_time(self) -> None:
        row = next(line for line in lines(report()) if "prompt of 2048" in line)
        assert row.split()[-3] == "-"
        assert row.split()[-1] in {"ms", "s"}

    def test_what_does_not_fit_is_marked(self) -> None:
        rows = [line for line in lines(report()) if line.strip().startswith("all, ")]
        marked = [cell for row in rows for cell in row.split("  ") if cell.endswith("*")]
        memories = [memory for context in report().precisions[0].contexts for memory in context.memory]
        assert len(marked) == sum(memory.total > 14336 * 2**20 for memory in memories)
        assert rows


def test_the_structure_of_the_json_output() -> None:
    """Others read it: fields may be added, and none may go or change its type."""
    parsed = json.loads(msgspec.json.encode(report()))
    assert set(parsed) >= {"model", "layers", "toolchain", "basis", "memory_budget", "precisions"}
    (precision,) = parsed["precisions"]
    assert (precision["blocks"], precision["lm_head"], precision["group_size"]) == ("int4", "int8", 64)
    context = precision["contexts"][0]
    assert set(context) >= {
        "context",
        "first_token",
        "decoding",
        "verification",
        "memory",
        "networks",
        "hints",
    }
    assert set(context["first_token"][0]) >= {"prompt", "steps", "milliseconds"}
    assert set(context["decoding"][0]) >= {"slots", "milliseconds", "tokens_per_second", "tokens_per_second_each"}
    assert set(context["verification"][0]) >= {"tokens", "milliseconds", "tokens_per_second"}
    memory = {"slots", "bundle", "weights", "instructions", "scratch", "cache", "total"}
    assert set(context["memory"][0]) >= memory
    assert set(context["networks"][0]) >= {"name", "cycles", "weights", "instructions", "scratch"}
    assert msgspec.json.decode(msgspec.json.encode(report()), type=Report) == report()


@pytest.mark.parametrize(
    ("name", "billions"),  # parameters, as the model cards tell them
    [
        ("wizardcoder-15b", 15.5),
        ("starcoder", 15.5),
        ("starcoderbase-7b", 7.3),
        ("wizardcoder-3b", 3.0),
        ("wizardcoder-1b", 1.1),
        ("tiny_starcoder_py", 0.16),
    ],
)
def test_published_architectures_have_the_parameters_of_their_models(name: str, billions: float) -> None:
    def parameters(config: ModelConfig) -> int:
        total = 0
        for shape in expected_shapes(config).values():
            count = 1
            for size in shape:
                count *= size
            total += count
        return total

    assert parameters(PUBLISHED[name]) / 1e9 == pytest.approx(billions, rel=0.05)
