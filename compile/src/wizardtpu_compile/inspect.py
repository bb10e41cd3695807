"""What a bundle holds, for a person or as JSON."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from wizardtpud.model.bmodel.model import Model, Net, Tensor
from wizardtpud.model.bmodel.reading import read_model
from wizardtpud.model.bundle import Bundle
from wizardtpud.model.manifest import Manifest, NetworkEntry, NetworkLayout

CACHE_ELEMENTS: dict[NetworkLayout, int] = {"wizardtpu": 2, "llm-convert": 2, "wizardcoder-tpu": 4}
"""Bytes of a number in the KV cache: keys and values are f16 or bf16, or f32."""


class Signature(msgspec.Struct, frozen=True):
    """A set of shapes that a network was compiled for."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


class NetReport(msgspec.Struct, frozen=True):
    """A network on one device. Sizes are bytes there; weights may be shared with other networks."""

    name: str
    device: int
    addr_mode: int
    dynamic: bool
    weights: int
    instructions: int
    tensors: int
    scratch: int
    stages: list[Signature]


class DeviceMemory(msgspec.Struct, frozen=True):
    """Bytes on one device; `cache` is for the keys and values of all slots."""

    weights: int
    instructions: int
    tensors: int
    scratch: int
    cache: int
    total: int


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything about a bundle; `networks` and `memory`, one for each device, are of TPU bundles alone."""

    digest: str
    manifest: Manifest
    networks: list[NetReport] = []
    memory: list[DeviceMemory] = []


def report(bundle: Bundle) -> Report:
    """What a bundle holds."""
    if bundle.manifest.target == "cpu":
        return Report(bundle.digest, bundle.manifest)
    model = read_model(bundle.bmodel)
    memory = [_memory(bundle.manifest, model, device) for device in range(model.devices)]
    return Report(bundle.digest, bundle.manifest, list(map(_net_report, model.nets)), memory)


def describe(bundle: Bundle) -> Iterator[str]:
    """Lines of text."""
    found = report(bundle)
    manifest, numbers = bundle.manifest, bundle.manifest.architecture
    yield f"{manifest.name}: {numbers.family} for {manifest.target}, context {manifest.context}"
    yield f"sha256 {bundle.digest}"
    yield (
        f"{numbers.layers} layers, {numbers.heads} heads of {numbers.head_dim}, hidden {numbers.hidden}, "
        f"inner {numbers.inner}, vocabulary {numbers.vocabulary}, positions {numbers.positions}"
    )
    if weights := manifest.quantization:
        groups = f", groups of {weights.group_size}" if weights.group_size else ""
        yield f"weights: blocks {weights.blocks}, lm_head {weights.lm_head}, embedding {weights.embedding}{groups}"
    yield "made with " + ", ".join(f"{tool} {version}" for tool, version in manifest.made_with.items())
    yield ""
    if manifest.networks:
        yield from _network_table(manifest.networks, found.networks)
        yield ""
    if found.networks:
        yield from _tensor_tables(found.networks)
        yield from _memory_table(found.memory)
        yield ""
    yield from table(
        ("file", "bytes", "sha256"),
        [(name, str(entry.bytes), entry.sha256) for name, entry in manifest.files.items()],
    )


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Rows with their columns aligned."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _net_report(net: Net) -> NetReport:
    return NetReport(
        name=net.network,
        device=net.device,
        addr_mode=net.addr_mode,
        dynamic=net.dynamic,
        weights=net.weights,
        instructions=net.instructions,
        tensors=net.tensors,
        scratch=net.scratch,
        stages=[Signature(stage.inputs, stage.outputs) for stage in net.stages],
    )


def _memory(manifest: Manifest, model: Model, device: int) -> DeviceMemory:
    memory, cache = model.memory(device), _cache_bytes(manifest)
    return DeviceMemory(
        weights=memory.weights,
        instructions=memory.instructions,
        tensors=memory.tensors,
        scratch=memory.scratch,
        cache=cache,
        total=memory.total + cache,
    )


def _cache_bytes(manifest: Manifest) -> int:
    """Keys and values of as many sequences as one step can decode; every device has them all."""
    numbers = manifest.architecture
    slots = max((entry.batch for entry in manifest.networks), default=1)
    row = numbers.kv_heads * numbers.head_dim * CACHE_ELEMENTS[manifest.layout]
    return 2 * numbers.layers * slots * manifest.context * row


def _network_table(entries: Sequence[NetworkEntry], nets: Sequence[NetReport]) -> Iterator[str]:
    sizes = {net.name: net.instructions for net in nets}
    yield from table(
        ("network", "batch", "tokens", "history", "instructions" if nets else "file"),
        [
            (n.name, str(n.batch), str(n.tokens or ""), str(n.history or ""), str(sizes.get(n.name, n.file)))
            for n in entries
        ],
    )


def _tensor_tables(nets: Iterable[NetReport]) -> Iterator[str]:
    """Shapes on the first device; networks that differ in their layer alone are told of together."""
    alike: dict[tuple[Signature, ...], list[str]] = {}
    for net in nets:
        if net.device == 0:
            alike.setdefault(tuple(net.stages), []).append(net.name)
    for stages, (name, *others) in alike.items():
        yield name + (f" and {len(others)} more" if others else "")
        yield from table(("", "tensor", "type", "shape"), [row for stage in stages for row in _tensor_rows(stage)])
        yield ""


def _tensor_rows(stage: Signature) -> Iterator[tuple[str, ...]]:
    sides = itertools.chain(
        (("input", tensor) for tensor in stage.inputs), (("output", tensor) for tensor in stage.outputs)
    )
    for side, tensor in sides:
        yield f"  {side}", tensor.name, tensor.dtype, " x ".join(map(str, tensor.shape))


def _memory_table(memory: Sequence[DeviceMemory]) -> Iterator[str]:
    columns = ("weights", "instructions", "tensors", "scratch", "cache", "total")
    yield from table(
        ("bytes on device", *columns),
        [(str(i), *(str(getattr(device, name)) for name in columns)) for i, device in enumerate(memory)],
    )
