"""What may be asked of a build for the BM1684X, and what is refused."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import Any

import pytest
from wizardtpu_compile.checkpoint.config import ModelConfig
from wizardtpu_compile.cli.build_options import add_build_options, chosen_options
from wizardtpu_compile.errors import OptionError
from wizardtpu_compile.options import CpuOptions, TpuOptions
from wizardtpu_compile.precision import WeightFormat

CONFIG = ModelConfig("gpt_bigcode", n_embd=128, n_head=4, n_layer=5, n_positions=64, vocab_size=320)

# Every option that one target alone has, as a person gives it.
OF_THE_CHIP = {
    "--verify": "4",
    "--slots": "2",
    "--activations": "f16",
    "--lm-head": "int8",
    "--embedding": "f16",
    "--num-device": "2",
    "--only-layer": "0",
    "--frontend": "direct",
    "--layout": "wizardtpu",
    "--check": "none",
    "--jobs": "1",
    "--toolchain": "somewhere",
}


def chosen(*arguments: str, target: str = "bm1684x") -> CpuOptions | TpuOptions:
    """What the command makes of its arguments."""
    parser = argparse.ArgumentParser(argument_default=argparse.SUPPRESS)
    add_build_options(parser)
    return chosen_options(vars(parser.parse_args(["checkpoint", "-o", "out", "--target", target, *arguments])))


def test_nothing_given_is_the_defaults() -> None:
    assert chosen() == TpuOptions()
    assert chosen(target="cpu") == CpuOptions()


def test_everything_given() -> None:
    arguments = [word for option, value in OF_THE_CHIP.items() for word in (option, value)]
    common = ["--quantize", "int8", "--group-size", "32", "--context", "48", "--prefill-chunks", "8,16"]
    options = chosen(*arguments, *common, "--layers-per-net", "2", "--name", "tiny", "--force", "-v", "--json")
    assert options == TpuOptions(
        quantize="int8",
        group_size=32,
        context=48,
        prefill_chunks=(8, 16),
        layers_per_net=2,
        name="tiny",
        force=True,
        verify_tokens=4,
        slots=2,
        activations="f16",
        lm_head="int8",
        embedding="f16",
        num_device=2,
        only_layer=0,
        frontend="direct",
        layout="wizardtpu",
        check_networks="none",
        jobs=1,
    )


def test_every_option_of_the_chip_is_looked_at_here() -> None:
    common = {field.name for field in fields(CpuOptions)}
    spellings = {"verify_tokens": "verify", "check_networks": "check"}
    own = [field.name for field in fields(TpuOptions) if field.name not in common]
    assert {f"--{spellings.get(name, name).replace('_', '-')}" for name in own} == OF_THE_CHIP.keys() - {
        "--toolchain"
    }


@pytest.mark.parametrize("option", OF_THE_CHIP)
def test_an_option_of_the_chip_is_refused_for_the_cpu(option: str) -> None:
    with pytest.raises(OptionError, match=f"^{option} is not for --target cpu$"):
        chosen(option, OF_THE_CHIP[option], target="cpu")


@pytest.mark.parametrize(
    ("target", "precision", "possible"),
    [("cpu", "f16", "f32, int8, int4"), ("cpu", "bf16", "f32"), ("bm1684x", "f32", "f16, bf16, int8, int4")],
)
def test_a_precision_of_another_target_is_refused(target: str, precision: str, possible: str) -> None:
    with pytest.raises(OptionError, match=f"^--quantize {precision} is not for --target {target}.*{possible}"):
        chosen("--quantize", precision, target=target)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ("int4", "int8", "f16", "f16")),
        ({"quantize": "int8"}, ("int8", "int8", "f16", "f16")),
        ({"quantize": "f16"}, ("f16", "f16", "f16", "f16")),
        ({"quantize": "bf16"}, ("bf16", "bf16", "bf16", "bf16")),
        ({"quantize": "int4", "activations": "bf16"}, ("int4", "int8", "bf16", "bf16")),
        ({"quantize": "f16", "lm_head": "int4"}, ("f16", "int4", "f16", "f16")),
        ({"quantize": "int4", "lm_head": "f16"}, ("int4", "f16", "f16", "f16")),
        ({"quantize": "bf16", "lm_head": "int8", "embedding": "bf16"}, ("bf16", "int8", "bf16", "bf16")),
    ],
)
def test_precisions(given: Any, expected: tuple[str, ...]) -> None:
    options = TpuOptions(**given)
    options.check(CONFIG)
    found = tuple(options.precision(role) for role in ("block", "lm_head", "embedding", "greedy_head"))
    assert found == expected


def test_weight_formats() -> None:
    options = TpuOptions(quantize="int4", group_size=32, activations="bf16")
    assert options.weight_format("block") == WeightFormat(4, 32, "bf16")
    assert options.weight_format("lm_head") == WeightFormat(8, 32, "bf16")
    assert options.weight_format("embedding") == options.weight_format("greedy_head")
    assert options.weight_format("embedding") == WeightFormat(16, None, "bf16")


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"embedding": "f16", "activations": "bf16"}, "^--embedding f16: the blocks read bf16"),
        ({"embedding": "bf16"}, "^--embedding bf16: the blocks read f16.*--activations bf16$"),
        ({"quantize": "f16", "activations": "bf16"}, "^--quantize f16 does not go with bf16"),
        ({"quantize": "bf16", "activations": "f16"}, "^--quantize bf16 does not go with f16"),
        ({"lm_head": "bf16"}, "^--lm-head bf16 does not go with f16"),
        ({"num_device": 3}, "^--num-device 3: must be one of 1, 2, 4, 8$"),
        ({"num_device": 8}, "^--num-device 8: the model's 4 heads cannot be shared"),
        ({"only_layer": 5}, "^--only-layer 5: must be from 0 to 4$"),
        ({"only_layer": -1}, "^--only-layer -1: must be from 0 to 4$"),
        ({"only_layer": 0, "layout": "wizardcoder-tpu"}, "^--only-layer is for --layout wizardtpu"),
        ({"layout": "wizardcoder-tpu"}, "^--layout wizardcoder-tpu is made by --frontend onnx"),
        ({"jobs": 0}, "^--jobs 0: must be at least 1$"),
        ({"group_size": 48}, "^--group-size 48"),
        ({"group_size": 0}, "^--group-size 0"),
        ({"group_size": -64}, "^--group-size -64"),
        ({"group_size": 48, "quantize": "f16", "lm_head": "int8"}, "^--group-size 48"),
        ({"quantize": "f16", "num_device": 2}, "^--num-device 2: .*--quantize int8 or int4$"),
    ],
)
def test_what_does_not_go_together_is_refused(given: Any, fault: str) -> None:
    with pytest.raises(OptionError, match=fault):
        TpuOptions(**given).check(CONFIG)


def test_groups_do_not_matter_where_nothing_is_quantized() -> None:
    TpuOptions(quantize="f16", group_size=48).check(CONFIG)


@pytest.mark.parametrize(
    ("given", "shapes", "heads"),
    [
        ({}, [(1, 1), (1, 8), (1, 64), (1, 512), (8, 1)], [1, 8]),
        ({"prefill_chunks": (16, 4, 16, 600)}, [(1, 1), (1, 4), (1, 8), (1, 16), (8, 1)], [1, 8]),
        ({"verify_tokens": 0, "slots": 1, "prefill_chunks": ()}, [(1, 1)], [1]),
        ({"verify_tokens": 4, "slots": 2}, [(1, 1), (1, 4), (1, 64), (1, 512), (2, 1)], [1, 2, 4]),
        ({"verify_tokens": 600}, [(1, 1), (1, 64), (1, 512), (8, 1)], [1, 8]),
        ({"verify_tokens": 64}, [(1, 1), (1, 64), (1, 512), (8, 1)], [1, 8, 64]),
    ],
)
def test_shapes(given: Any, shapes: list[tuple[int, int]], heads: list[int]) -> None:
    """Of a context of 600: chunks and drafts that do not fit below it are left out."""
    options = TpuOptions(**given)
    assert options.shapes(600) == shapes
    assert options.head_batches(600) == heads


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"verify_tokens": 1}, "^--verify 1: must be 0"),
        ({"verify_tokens": -2}, "^--verify -2: must be 0"),
        ({"slots": 0}, "^--slots 0: must be at least 1"),
        ({"prefill_chunks": (8, 0)}, "^--prefill-chunks 0: must be at least 1"),
    ],
)
def test_shapes_that_make_no_sense(given: Any, fault: str) -> None:
    with pytest.raises(OptionError, match=fault):
        TpuOptions(**given).shapes(64)


@pytest.mark.parametrize(
    ("layers_per_net", "groups"),
    [(1, [(0, 1), (1, 1), (2, 1), (3, 1), (4, 1)]), (2, [(0, 2), (2, 2), (4, 1)]), (5, [(0, 5)])],
)
def test_layer_groups(layers_per_net: int, groups: list[tuple[int, int]]) -> None:
    assert TpuOptions(layers_per_net=layers_per_net).layer_groups(CONFIG) == groups


@pytest.mark.parametrize("layers_per_net", [0, 6])
def test_layer_groups_that_there_are_not(layers_per_net: int) -> None:
    with pytest.raises(OptionError, match=f"^--layers-per-net {layers_per_net}: must be from 1 to 5"):
        TpuOptions(layers_per_net=layers_per_net).layer_groups(CONFIG)


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, True), ({"only_layer": 1}, False), ({"layout": "wizardcoder-tpu", "frontend": "onnx"}, False)],
)
def test_what_makes_a_bundle(given: Any, expected: bool) -> None:
    assert TpuOptions(**given).makes_bundle is expected
