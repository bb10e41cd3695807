"""Bmodels of a few kilobytes: to be read and put together, not to be run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class TinyNet:
    """A network of float16 tensors; `main_name` makes it the part of a network that `device` runs."""

    name: str
    weights: bytes = b"weights" * 900
    instructions: bytes = b"instructions" * 500
    scratch: int = 8192
    io_size: int = 4096
    addr_mode: int = 1
    inputs: Shapes | None = None
    outputs: Shapes | None = None
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
    inputs = _tensors(net.inputs or {"hidden_states": (1, 1, 6)})
    outputs = _tensors(net.outputs or {"hidden_states_out": (1, 1, 6)})
    code = list(hashlib.sha256(net.weights).digest())
    half = instructions.size // 2
    group = CmdGroup(
        bdc_num=1,
        gdma_num=1,
        binary_bdc=Binary(instructions.start, half),
        binary_gdma=Binary(instructions.start + half, instructions.size - half),
    )
    stage = NetParameter(
        inputs,
        outputs,
        ctx_size=net.scratch,
        ctx_sizes=[net.scratch],
        coeff_mem=CoeffMem(check_code=code, binary_coeff=weights, location=[Location("w", 0, weights.size)]),
        sub_net=[SubNet(cmd_group=[group], input_tensor=inputs, output_tensor=outputs, next_subnet_ids=[-1])],
        io_size=net.io_size,
        core_num=1,
        binary_ir=Binary(instructions.start, 0),
    )
    cascade = Cascade(net.device, 0, net.main_name) if net.main_name else None
    return Net(net.name, parameter=[stage], cascade=cascade, addr_mode=net.addr_mode)


def _tensors(shapes: Shapes) -> list[Tensor]:
    return [
        Tensor(name, data_type=1, shape=[Shape(list(shape))], mem_type=1, index=index)
        for index, (name, shape) in enumerate(shapes.items())
    ]
