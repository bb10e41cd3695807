"""The networks of a bmodel, and the memory they take on a device.

The runtime allocates equal weights once, instructions for every network, one scratch memory for all of them if it
is told to share (BM_RUNTIME_SHARE_MEM; else, as by sophon-sail, one for every stage), and in address mode 1 memory
for the inputs and outputs of every network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod

from typing_extensions import Self

from wizardtpud.errors import BmodelError
from wizardtpud.model.bmodel import schema
from wizardtpud.model.bmodel.header import DAMAGED

DTYPES = (
    *("float32", "float16", "int8", "uint8", "int16", "uint16", "int32", "uint32"),
    *("bfloat16", "int4", "uint4"),
)
"""Names of the element types, in the order of their numbers; numpy's, and those of `ml_dtypes`."""

_WORD = 4  # bytes of a word of a dynamic network's program


@dataclass(frozen=True)
class Tensor:
    """An input or output; of a dynamic network, the largest shape it takes."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, tensor: schema.Tensor) -> Self:
        if tensor.data_type >= len(DTYPES):
            raise BmodelError(f"tensor {tensor.name} is of the unknown type {tensor.data_type}: {DAMAGED}")
        if not tensor.shape:
            raise BmodelError(f"tensor {tensor.name} has no shape: {DAMAGED}")
        return cls(tensor.name, DTYPES[tensor.data_type], tuple(tensor.shape[0].dim or ()))

    @property
    def elements(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True)
class Stage:
    """A network for one set of shapes; sizes are bytes on the device.

    Attributes:
        weights: may be shared with those of other stages, see `weights_key`.
        weights_key: equal weights have equal ones; empty if there are none.
        tensors: memory for inputs and outputs, if that is not scratch memory; shared by the stages of a network.
        scratch: memory that is used while it runs.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    weights: int
    weights_key: bytes
    instructions: int
    tensors: int
    scratch: int

    @classmethod
    def of(cls, stage: schema.NetParameter, addr_mode: int) -> Self:
        coeff = stage.coeff_mem
        weights = coeff.binary_coeff.size if coeff and coeff.binary_coeff else 0
        return cls(
            inputs=tuple(map(Tensor.of, stage.input_tensor)),
            outputs=tuple(map(Tensor.of, stage.output_tensor)),
            weights=weights,
            weights_key=bytes(coeff.check_code or ()) if coeff and weights else b"",
            instructions=sum(map(_instructions, stage.sub_net or ())),
            tensors=stage.io_size if addr_mode == 1 else 0,
            scratch=scratch_size(stage),
        )


@dataclass(frozen=True)
class Net:
    """A network as one device has it.

    Attributes:
        network: what the runtime calls it: `name`, unless it is divided among devices or into steps.
        device: which of the devices runs it, from 0.
        addr_mode: 0: inputs and outputs are in the scratch memory; 1 (io_alone): they have memory of their own;
            4 (io_reloc): they are wherever a launch is told they are, so nothing is allocated for them.
        dynamic: takes any shape up to its own; interpreted on the device.
    """

    name: str
    network: str
    device: int
    step: int
    addr_mode: int
    dynamic: bool
    stages: tuple[Stage, ...]

    @classmethod
    def of(cls, net: schema.Net) -> Self:
        if not net.parameter:
            raise BmodelError(f"network {net.name} has no stages, so an old compiler made it; compile it again")
        cascade = net.cascade or schema.Cascade()
        return cls(
            name=net.name,
            network=network_name(net),
            device=cascade.device_id,
            step=cascade.step,
            addr_mode=net.addr_mode,
            dynamic=any(stage.is_dynamic for stage in net.parameter),
            stages=tuple(Stage.of(stage, net.addr_mode) for stage in net.parameter),
        )

    @property
    def weights(self) -> int:
        return sum(_shared_weights(self.stages).values())

    @property
    def instructions(self) -> int:
        return sum(stage.instructions for stage in self.stages)

    @property
    def tensors(self) -> int:
        return max(stage.tensors for stage in self.stages)

    @property
    def scratch(self) -> int:
        return max(stage.scratch for stage in self.stages)


@dataclass(frozen=True)
class Memory:
    """Bytes on one device that loading takes; caches, and tensors that the caller makes, are not among them.

    Seen on the simulator, allocation by allocation: weights, tensors and scratch are exactly what the runtime
    allocates when networks share their scratch memory. Instructions are what it allocates at most (0.1 % more
    than all memory in small models without dynamic networks, 4 % with them): those for computing that are equal
    in several networks are loaded once. A chip's runtime loads its own program besides.

    Attributes:
        scratch: of the stage that takes most.
        unshared_scratch: of all stages together.
        loaded: what the vendor's `model_tool --info` adds up.
        total: if networks share their scratch memory.
        unshared: if they do not.
    """

    weights: int
    instructions: int
    tensors: int
    scratch: int
    unshared_scratch: int

    @property
    def loaded(self) -> int:
        return self.weights + self.instructions + self.scratch

    @property
    def total(self) -> int:
        return self.loaded + self.tensors

    @property
    def unshared(self) -> int:
        return self.total - self.scratch + self.unshared_scratch


@dataclass(frozen=True)
class Model:
    """A bmodel; `devices` is how many it needs."""

    chip: str
    version: str
    devices: int
    nets: tuple[Net, ...]

    @classmethod
    def of(cls, description: schema.Model) -> Self:
        nets = tuple(map(Net.of, description.net))
        devices = max(1, description.device_num)
        if not nets or devices > len(nets) or any(net.device >= devices for net in nets):
            raise BmodelError(f"{len(nets)} networks do not fit {devices} devices: {DAMAGED}")
        return cls(description.chip, description.version, devices, nets)

    @property
    def networks(self) -> Mapping[str, tuple[Net, ...]]:
        """The nets of each network, by the name the runtime knows it by; several if it is divided."""
        names = dict.fromkeys(net.network for net in self.nets)
        return {name: tuple(net for net in self.nets if net.network == name) for name in names}

    @property
    def device_bytes(self) -> int:
        """Bytes that loading takes on the device that has most to load; see `Memory`."""
        return max(self.memory(device).total for device in range(self.devices))

    @property
    def unshared_device_bytes(self) -> int:
        """The same, if networks do not share their scratch memory."""
        return max(self.memory(device).unshared for device in range(self.devices))

    def memory(self, device: int = 0) -> Memory:
        """What the networks take on a device."""
        nets = [net for net in self.nets if net.device == device]
        stages = [stage for net in nets for stage in net.stages]
        return Memory(
            weights=sum(_shared_weights(stages).values()),
            instructions=sum(net.instructions for net in nets),
            tensors=sum(net.tensors for net in nets),
            scratch=max((net.scratch for net in nets), default=0),
            unshared_scratch=sum(stage.scratch for stage in stages),
        )


def network_name(net: schema.Net) -> str:
    """What the runtime calls the network that a net is, or is a part of."""
    return (net.cascade and net.cascade.main_name) or net.name


def scratch_size(stage: schema.NetParameter) -> int:
    """Bytes of scratch memory a stage needs."""
    return stage.ctx_size if stage.ctx_sizes is None else sum(stage.ctx_sizes)


def _shared_weights(stages: Iterable[Stage]) -> dict[tuple[bytes, int], int]:
    """Bytes of different weights, told apart as the runtime does."""
    return {(stage.weights_key, stage.weights): stage.weights for stage in stages}


def _instructions(subnet: schema.SubNet) -> int:
    if subnet.is_dynamic:
        return subnet.ir_len * _WORD
    return sum(binary.size for binary in _commands(subnet))


def _commands(subnet: schema.SubNet) -> Iterator[schema.Binary]:
    cores = subnet.core_commands or ()
    groups = [*(subnet.cmd_group or ()), *(group for core in cores for group in core.gdma_tiu_commands or ())]
    for group in groups:
        yield from (binary for binary in (group.binary_bdc, group.binary_gdma) if binary)
    for core in cores:
        for commands in (core.sdma_commands, core.hau_commands, core.cdma_commands):
            yield from commands or ()
