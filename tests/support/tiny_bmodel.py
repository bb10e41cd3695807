"""Bmodels of a few kilobytes: to be read and put together, not to be run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wizardtpu_compile.bmodel.encoding import encode
from wizardtpud.model.bmodel.header import HEADER_SIZE, Header, aligned
from wizardtpud.model.bmodel.schema import (
    Binary,
    Cascade,
    CmdGroup,
    CoeffMem,
    KernelModule,
    Location,
    Model,
    Net,
    NetParameter,
    Shape,
    SubNet,
    Tensor,
)

KERNEL = b"kernel" * 1000
FLOAT32, FLOAT16, INT8, INT32 = 0, 1, 2, 6
"""Numbers of element types."""
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class TinyNet:
    """A network; `main_name` makes it the part of a network that `device` runs.

    Tensors are of the element type that `types` has for their names, others of `float_type`. Each of `more_stages`
    has inputs and outputs of other shapes.
    """

    name: str
    weights: bytes = b"weights" * 900
    instructions: bytes = b"instructions" * 500
    scratch: int = 8192
    io_size: int = 4096
    addr_mode: int = 1
    inputs: Shapes | None = None
    outputs: Shapes | None = None
    more_stages: Sequence[tuple[Shapes, Shapes]] = ()
    types: Mapping[str, int] = field(default_factory=dict)
    float_type: int = FLOAT16
    dynamic: bool = False
    main_name: str | None = None
    device: int = 0


def write_tiny_bmodel(
    path: Path,
    nets: Sequence[TinyNet],
    *,
    kernel: bytes = KERNEL,
    chip: str = "BM1684X",
    version: str = "2.2",
    devices: int = 1,
) -> Path:
    """As the vendor's compiler lays a file out: the kernel module, then the binaries of each network."""
    content = bytearray()

    def place(data: bytes) -> Binary:
        start = len(content)
        content.extend(data.ljust(aligned(len(data)), b"\0"))
        return Binary(start, len(data))

    module = KernelModule("libkernel.so", place(kernel))
    described = [_describe(net, place(net.weights), place(net.instructions)) for net in nets]
    largest = max(net.scratch for net in nets)
    model = Model("B", version, "some day\n", chip, described, largest, module, devices)
    path.write_bytes(front(model, len(content)) + content)
    return path


def front(model: Model, binaries: int) -> bytes:
    """Header and description."""
    encoded = encode(model)
    padded = encoded.ljust(aligned(HEADER_SIZE + len(encoded)) - HEADER_SIZE, b"\0")
    return Header(len(padded), binaries).pack() + padded


def _describe(net: TinyNet, weights: Binary, instructions: Binary) -> Net:
    first = (net.inputs or {"hidden_states": (1, 1, 6)}, net.outputs or {"hidden_states_out": (1, 1, 6)})
    stages = [
        _stage(net, _tensors(inputs, net), _tensors(outputs, net), weights, instructions)
        for inputs, outputs in (first, *net.more_stages)
    ]
    cascade = Cascade(net.device, 0, net.main_name) if net.main_name else None
    return Net(net.name, parameter=stages, cascade=cascade, addr_mode=net.addr_mode)


def _stage(
    net: TinyNet, inputs: list[Tensor], outputs: list[Tensor], weights: Binary, instructions: Binary
) -> NetParameter:
    code = list(hashlib.sha256(net.weights).digest())
    half = instructions.size // 2
    group = CmdGroup(
        bdc_num=1,
        gdma_num=1,
        binary_bdc=Binary(instructions.start, half),
        binary_gdma=Binary(instructions.start + half, instructions.size - half),
    )
    return NetParameter(
        inputs,
        outputs,
        ctx_size=net.scratch,
        ctx_sizes=[net.scratch],
        coeff_mem=CoeffMem(check_code=code, binary_coeff=weights, location=[Location("w", 0, weights.size)]),
        sub_net=[SubNet(cmd_group=[group], input_tensor=inputs, output_tensor=outputs, next_subnet_ids=[-1])],
        io_size=net.io_size,
        core_num=1,
        binary_ir=Binary(instructions.start, 0),
        is_dynamic=int(net.dynamic),
    )


def _tensors(shapes: Shapes, net: TinyNet) -> list[Tensor]:
    return [
        Tensor(
            name,
            data_type=net.types.get(name, net.float_type),
            shape=[Shape(list(shape))],
            mem_type=1,
            index=index,
        )
        for index, (name, shape) in enumerate(shapes.items())
    ]
