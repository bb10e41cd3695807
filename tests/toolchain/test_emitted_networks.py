"""Emitted networks, compiled and run on the simulator, compute what the description says."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.emit import onnx as onnx_emitter
from wizardtpu_compile.emit.tpu import emit, io_dtype, rounded, write_weights
from wizardtpu_compile.emit.weights import pack
from wizardtpu_compile.network import gpt_bigcode
from wizardtpu_compile.network.description import Gelu, LayerNorm, Network, Value
from wizardtpu_compile.network.reference import Arrays, evaluate
from wizardtpu_compile.precision import WeightFormat
from wizardtpu_compile.rounding import to_groups
from wizardtpu_compile.simulation.simulator import Simulator
from wizardtpu_compile.toolchain.compiler import compile_network
from wizardtpu_compile.toolchain.toolchain import Toolchain
from wizardtpu_compile.verification.inputs import Shape, made_up
from wizardtpu_compile.verification.similarity import cosine
from wizardtpud.model.bmodel.reading import read_model

from tests.support.networks import run as run_onnx
from tests.support.random_checkpoint import write_random_checkpoint

HISTORY = 32
F16, BF16 = WeightFormat(16, None, "f16"), WeightFormat(16, None, "bf16")
INT8, INT4 = WeightFormat(8, 64, "f16"), WeightFormat(4, 64, "f16")
INT4_BF16 = WeightFormat(4, 32, "bf16")

LOWEST = {"f16": 0.99999, "bf16": 0.9999}
"""Cosine to a reference with the same weights: float32 against activations of the type."""
NORM = {"f16": 1e-3, "bf16": 5e-3}
"""Relative difference of the norms that rounding to the type explains."""
LOWEST_TO_FLOAT = {16: 0.9999, 8: 0.9999, 4: 0.98}
"""Cosine to the float reference, by the bits of a weight."""


@dataclass(frozen=True)
class Ran:
    """A network that was run: what it was given, what it gave."""

    network: Network
    form: WeightFormat
    inputs: Arrays
    outputs: Arrays

    def check(self) -> None:
        exact = evaluate(self.network, [self.inputs])[0]
        expected = evaluate(self.network, [self.inputs], rounded(self.form))[0]
        for name, array in self.outputs.items():
            assert cosine(array, expected[name]) >= LOWEST[self.form.float], name
            assert cosine(array, exact[name]) >= LOWEST_TO_FLOAT[self.form.bits], name
            # A cosine does not see a wrong factor.
            assert np.linalg.norm(array) == pytest.approx(
                np.linalg.norm(expected[name]), rel=NORM[self.form.float]
            ), name


class Bench:
    """Compiles networks and runs them."""

    def __init__(self, toolchain: Toolchain, directory: Path) -> None:
        self.toolchain = toolchain
        self._directory = directory

    def checkpoint(self, **numbers: object) -> Checkpoint:
        return Checkpoint.open(write_random_checkpoint(self._directory / "checkpoint", **numbers))  # type: ignore[arg-type]

    def compile(self, network: Network, form: WeightFormat, sizes: dict[str, int], devices: int = 1) -> Path:
        write_weights(network, form, self._directory / "weights.npz")
        mlir, bmodel, log = (self._directory / f"net.{kind}" for kind in ("mlir", "bmodel", "log"))
        mlir.write_text(emit(network, "net", sizes, form, "weights.npz", devices))
        assert compile_network(self.toolchain, mlir, bmodel, log).cycles > 0
        return bmodel

    def run(
        self,
        network: Network,
        form: WeightFormat,
        inputs: Arrays,
        batch: int = 1,
        tokens: int = 1,
    ) -> Ran:
        """Compiles for a shape, compares the bmodel's own description of it, and runs it."""
        sizes = {"batch": batch, "tokens": tokens, "history": HISTORY, "total": HISTORY + tokens}
        bmodel = self.compile(network, form, sizes)
        check_description(bmodel, network, form, sizes)
        inputs = {name: as_stored(array, form) for name, array in inputs.items()}
        (outputs,) = Simulator(self.toolchain.simulator).run_networks(bmodel, [("net", inputs)])
        return Ran(network, form, inputs, outputs)

    def run_made_up(
        self, checkpoint: Checkpoint, network: Network, form: WeightFormat, batch: int = 1, tokens: int = 1
    ) -> Ran:
        inputs = made_up(network, Shape(batch, tokens, HISTORY, HISTORY // 2), checkpoint.config)
        return self.run(network, form, inputs, batch, tokens)


def as_stored(array: NDArray[np.generic], form: WeightFormat) -> NDArray[np.generic]:
    return array.astype(form.dtype).astype(np.float32) if array.dtype.kind == "f" else array


def check_description(bmodel: Path, network: Network, form: WeightFormat, sizes: dict[str, int]) -> None:
    def described(values: tuple[Value, ...]) -> list[tuple[str, str, tuple[int, ...]]]:
        return [
            (
                value.name,
                io_dtype(value, form).name,
                tuple(sizes[dim] if isinstance(dim, str) else dim for dim in value.shape),
            )
            for value in values
        ]

    (net,) = read_model(bmodel).nets
    (stage,) = net.stages
    assert (net.name, net.addr_mode, net.dynamic) == ("net", 4, False)
    assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in stage.inputs] == described(network.inputs)
    assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in stage.outputs] == described(network.outputs)


@pytest.fixture
def bench(toolchain: Toolchain, tmp_path: Path) -> Bench:
    return Bench(toolchain, tmp_path)


@pytest.mark.parametrize(
    ("form", "batch", "tokens"),
    [
        *((F16, 1, 1), (F16, 1, 8), (F16, 8, 1), (F16, 1, 64)),
        *((BF16, 1, 1), (BF16, 2, 4)),
        *((INT8, 1, 1), (INT8, 1, 64)),
        *((INT4, 1, 1), (INT4, 1, 8), (INT4, 8, 1), (INT4, 1, 64)),
        (INT4_BF16, 2, 1),
    ],
)
def test_a_narrow_block(bench: Bench, form: WeightFormat, batch: int, tokens: int) -> None:
    """Heads of 32, whose keys and values do not fill the chip's lanes."""
    checkpoint = bench.checkpoint(hidden=128, heads=4)
    bench.run_made_up(checkpoint, gpt_bigcode.block(checkpoint, 1), form, batch, tokens).check()


@pytest.mark.parametrize(("form", "heads", "batch", "tokens"), [(INT4, 2, 1, 1), (INT4, 2, 2, 8), (F16, 4, 1, 8)])
def test_a_block_with_whole_heads(bench: Bench, form: WeightFormat, heads: int, batch: int, tokens: int) -> None:
    """Heads of 128, as large models have them, and of 64."""
    checkpoint = bench.checkpoint(hidden=256, heads=heads, layers=1)
    bench.run_made_up(checkpoint, gpt_bigcode.block(checkpoint, 0), form, batch, tokens).check()


@pytest.mark.parametrize("form", [F16, INT4])
def test_a_block_of_two_layers(bench: Bench, form: WeightFormat) -> None:
    checkpoint = bench.checkpoint(hidden=128, heads=8, layers=3)
    ran = bench.run_made_up(checkpoint, gpt_bigcode.block(checkpoint, 1, 2), form, tokens=8)
    assert list(ran.outputs) == ["hidden_states_out", "new_k_0", "new_v_0", "new_k_1", "new_v_1"]
    ran.check()


@pytest.mark.parametrize(("batch", "tokens"), [(1, 1), (2, 3)])
def test_a_block_whose_widths_do_not_fill_the_lanes(bench: Bench, batch: int, tokens: int) -> None:
    checkpoint = bench.checkpoint(hidden=72, heads=2, layers=1, inner=200)
    form = WeightFormat(8, 8, "f16")
    bench.run_made_up(checkpoint, gpt_bigcode.block(checkpoint, 0), form, batch, tokens).check()


@pytest.mark.parametrize("activation", ["gelu", "gelu_pytorch_tanh"])
def test_each_gelu_is_its_own(bench: Bench, activation: str) -> None:
    """The two forms differ by less than float16 does over a whole block, so theirs alone is compared."""
    checkpoint = bench.checkpoint(hidden=128, heads=4, layers=1, activation=activation)
    whole = gpt_bigcode.block(checkpoint, 0)
    (gelu,) = (operation for operation in whole.operations if isinstance(operation, Gelu))
    network = Network("block", (gelu.input,), (gelu.output,), (gelu,), 0)
    values = np.linspace(-4, 4, 512, dtype=np.float32)[None, None]
    ran = bench.run(network, F16, {gelu.input.name: values})
    (found,) = ran.outputs.values()
    (expected,) = evaluate(network, [ran.inputs])[0].values()
    assert np.abs(found - expected).max() < 2e-3
    right = expected.astype(np.float16).astype(np.float32)
    assert np.count_nonzero(found != right) < 0.1 * right.size


@pytest.mark.parametrize("form", [F16, BF16, INT8, INT4])
@pytest.mark.parametrize("vocabulary", [321, 512])
def test_an_lm_head(bench: Bench, form: WeightFormat, vocabulary: int) -> None:
    """With a vocabulary that fills the chip's lanes, and with one that does not."""
    checkpoint = bench.checkpoint(hidden=128, heads=4, layers=1, vocabulary=vocabulary)
    batch = 1 if form in {F16, INT8} else 8
    bench.run_made_up(checkpoint, gpt_bigcode.lm_head(checkpoint), form, batch).check()


def test_quantized_heads_of_odd_vocabularies_stay_quantized(bench: Bench) -> None:
    """The compiler would make 16-bit weights of them, twice as many bytes to read."""
    checkpoint = bench.checkpoint(hidden=128, heads=4, layers=1, vocabulary=5001)
    head = gpt_bigcode.lm_head(checkpoint)
    sizes = {"batch": 1}
    (net,) = read_model(bench.compile(head, INT8, sizes)).nets
    assert net.stages[0].weights < 1.2 * 5001 * 128


@pytest.mark.parametrize(("form", "batch", "tokens"), [(F16, 1, 1), (F16, 2, 8), (BF16, 1, 64)])
def test_an_embedding(bench: Bench, form: WeightFormat, batch: int, tokens: int) -> None:
    checkpoint = bench.checkpoint(hidden=128, heads=4, layers=1)
    bench.run_made_up(checkpoint, gpt_bigcode.embedding(checkpoint), form, batch, tokens).check()


@pytest.mark.parametrize(("form", "batch"), [(F16, 1), (BF16, 3), (F16, 8)])
def test_a_greedy_head_takes_the_first_of_equals(bench: Bench, form: WeightFormat, batch: int) -> None:
    checkpoint = bench.checkpoint(hidden=64, heads=4, layers=1, vocabulary=321)
    logits = np.random.default_rng(batch).standard_normal((batch, 321)).astype(np.float32)
    logits[0, [17, 40, 320]] = 9
    ran = bench.run(gpt_bigcode.greedy_head(checkpoint), form, {"logits": logits}, batch)
    expected = evaluate(ran.network, [ran.inputs])[0]["token"]
    assert ran.outputs["token"].dtype == np.int32
    np.testing.assert_array_equal(ran.outputs["token"], expected)
    assert expected[0, 0] == 17


@pytest.mark.parametrize("describe", [lambda checkpoint: gpt_bigcode.block(checkpoint, 0), gpt_bigcode.lm_head])
def test_both_emitters_agree(bench: Bench, tmp_path: Path, describe: Callable[[Checkpoint], Network]) -> None:
    checkpoint = bench.checkpoint(hidden=128, heads=4, layers=1)
    ran = bench.run_made_up(checkpoint, describe(checkpoint), F16)
    onnx.save(onnx_emitter.emit(ran.network), tmp_path / "net.onnx")
    for found, expected in zip(
        ran.outputs.values(), run_onnx(tmp_path / "net.onnx", *ran.inputs.values()), strict=True
    ):
        assert cosine(found, expected) >= LOWEST["f16"]


@pytest.mark.parametrize("form", [F16, BF16])
@pytest.mark.parametrize("epsilon", [1e-5, 1e-3])
def test_a_norm_has_its_own_epsilon(bench: Bench, form: WeightFormat, epsilon: float) -> None:
    """What stands for hidden states in other tests is too large to show it: here their variance is the epsilon."""
    checkpoint = bench.checkpoint(hidden=128, heads=4, layers=1)
    norm = next(op for op in gpt_bigcode.block(checkpoint, 0).operations if isinstance(op, LayerNorm))
    norm = replace(norm, epsilon=epsilon)
    network = Network("block", (norm.input,), (norm.output,), (norm,), 0)
    values = np.random.default_rng(1).standard_normal((1, 1, 128), np.float32) * np.float32(epsilon**0.5)
    bench.run(network, form, {norm.input.name: values}).check()


def test_shapes_of_a_network_share_their_weights(bench: Bench) -> None:
    """As one sees by their hash; several shapes of a layer then take the memory of one."""
    checkpoint = bench.checkpoint(hidden=256, heads=2, layers=1)
    keys = set()
    for batch, tokens in ((1, 1), (1, 64), (8, 1)):
        sizes = {"batch": batch, "tokens": tokens, "history": HISTORY, "total": HISTORY + tokens}
        (net,) = read_model(bench.compile(gpt_bigcode.block(checkpoint, 0), INT4, sizes)).nets
        keys.add(net.stages[0].weights_key)
    assert len(keys) == 1


@pytest.mark.parametrize("devices", [2, 8])
def test_several_devices(bench: Bench, devices: int) -> None:
    checkpoint = bench.checkpoint(hidden=256, heads=8, layers=1)
    sizes = {"batch": 1, "tokens": 1, "history": HISTORY, "total": HISTORY + 1}
    block = gpt_bigcode.block(checkpoint, 0)
    (alone,) = read_model(bench.compile(block, INT4, sizes)).nets
    model = read_model(bench.compile(block, INT4, sizes, devices))
    assert {net.device for net in model.nets} == set(range(devices))
    # Each holds all of them, in groups of 4 bits with more filling: the compiler divides nothing.
    assert min(net.stages[0].weights for net in model.nets) >= alone.stages[0].weights


LINEAR = """
module @linear attributes {{module.chip = "ALL", module.platform = "LLM", module.state = "TOP_F32",
    module.top_run_mode = "STATIC", module.weight_file = "float.npz"}} {{
  func.func @main(%arg0: tensor<1x{k}xf32> loc(unknown)) -> tensor<1x{n}xf32> {{
    %0 = "top.None"() : () -> none loc(unknown)
    %1 = "top.Input"(%arg0) {{do_preprocess = false}} : (tensor<1x{k}xf32>) -> tensor<1x{k}xf32> loc("x")
    %2 = "top.Weight"() : () -> tensor<{k}x{n}xf32> loc("w")
    %3 = "top.MatMul"(%1, %2, %0) {{do_relu = false}}
        : (tensor<1x{k}xf32>, tensor<{k}x{n}xf32>, none) -> tensor<1x{n}xf32> loc("y")
    return %3 : tensor<1x{n}xf32> loc(unknown)
  }} loc(unknown)
}} loc(unknown)
"""


def quantized_by_the_vendor(
    toolchain: Toolchain, directory: Path, weight: NDArray[np.float32], form: WeightFormat
) -> list[NDArray[Any]]:
    """Levels, scales and zero points that the vendor's own compiler makes of a weight [outputs, inputs]."""
    outputs, inputs = weight.shape
    (directory / "linear.mlir").write_text(LINEAR.format(k=inputs, n=outputs))
    np.savez(directory / "float.npz", w=np.ascontiguousarray(weight.T))
    mode = f"W{form.bits}{form.float.upper()}"
    command = [
        str(toolchain.compiler),
        "linear.mlir",
        f"--processor-assign=chip=bm1684x mode={mode} num_device=1 num_core=1 addr_mode=io_alone",
        "--processor-top-optimize",
        f"--convert-top-to-tpu=weightFileName=lowered.npz q_group_size={form.group_size} q_symmetric=False",
        "--canonicalize",  # this quantizes
        "-o",
        "lowered.mlir",
    ]
    subprocess.run(
        command, cwd=directory, env=toolchain.environment(), check=True, capture_output=True, timeout=60
    )
    with np.load(directory / "lowered.npz") as arrays:
        names = {key.removeprefix("y_"): key for key in arrays}
        return [arrays[names[key]] for key in ("uint", f"scale_{form.float}", "zp")]


@pytest.mark.parametrize("outputs", [64, 192])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("kind", ["f16", "bf16"])
def test_groups_are_the_vendors_bit_for_bit(
    toolchain: Toolchain, tmp_path: Path, kind: str, bits: int, outputs: int
) -> None:
    random = np.random.default_rng(bits)
    weight = (random.standard_normal((outputs, 256)) * 0.02).astype(np.float16).astype(np.float32)
    weight[: outputs // 4] = random.integers(-20, 21, (outputs // 4, 256)) * 0.25  # many halves
    weight[-8:] *= np.float32(1e-4)  # ranges near the smallest one
    form = WeightFormat(bits, 64, kind)  # type: ignore[arg-type]
    groups = to_groups(weight, form, "w")
    levels = pack(groups.levels) if bits == 4 else groups.levels
    ours: list[NDArray[Any]] = [levels, groups.scales.view(np.uint16), groups.zero_points]
    vendors = quantized_by_the_vendor(toolchain, tmp_path, weight, form)
    for array, expected in zip(ours, vendors, strict=True):
        np.testing.assert_array_equal(array, expected.reshape(array.shape))
