"""The tables of a bmodel as the vendor's compiler writes them (its schema is `bmodel.fbs`).

Names, ids and types are the format's. Offsets in a `Binary` count from the start of the section of binaries, which
follows the description in the file. What is not explained here is kept as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from wizardtpud.model.bmodel.tables import F32, I32, U8, U32, U64, Inline, Table


@dataclass(slots=True)
class Binary(Inline):
    """Bytes of the section of binaries."""

    start: U64
    size: U64


@dataclass(slots=True)
class RelEntry(Inline):
    """Where an instruction holds the address of an input or output (address mode 4)."""

    base_addr_id: U32
    addr_offset: U32
    cmd_offset: U32


@dataclass(slots=True)
class Shape(Table):
    dim: list[U64] | None = None


@dataclass(slots=True)
class CmdGroup(Table):
    """Instructions of the chip's two engines, the one that computes and the one that moves data."""

    bdc_num: U32 = 0
    gdma_num: U32 = 0
    binary_bdc: Binary | None = None
    binary_gdma: Binary | None = None
    bdc_cmd_byte: U32 = 0
    gdma_cmd_byte: U32 = 0
    reloc_entries: list[RelEntry] | None = None


@dataclass(slots=True)
class CoreCommands(Table):
    """Instructions of one core, on chips that have several."""

    gdma_tiu_commands: list[CmdGroup] | None = None
    sdma_commands: list[Binary] | None = None
    hau_commands: list[Binary] | None = None
    cdma_commands: list[Binary] | None = None


@dataclass(slots=True)
class StageIR(Table):
    ir_info_len: U32 = 0
    height_high: I32 = 0
    height_low: I32 = 0
    width_high: I32 = 0
    width_low: I32 = 0


@dataclass(slots=True)
class Location(Table):
    """Where the weights of one operation are within its network's."""

    name: str
    offset: U64 = 0
    size: U64 = 0


@dataclass(slots=True)
class CoeffMem(Table):
    """Weights; `check_code` is their sha256, by which the runtime knows that two networks have the same."""

    address: U64 = 0
    check_code: list[U8] | None = None
    binary_coeff: Binary | None = None
    location: list[Location] | None = None
    encrypt_mode: I32 = 0
    decrypt_size: U64 = 0


@dataclass(slots=True)
class Tensor(Table):
    name: str
    data_type: U32 = 0
    gmem_stmode: I32 = 0
    device_addr: U64 = 0
    size: U64 = 0
    shape: list[Shape] | None = None
    mem_type: U32 = 0
    scale: F32 = 1.0
    cpu_addr: U32 = 0
    pad_h: U32 = 0
    zero_point: I32 = 0
    hidden: I32 = 0
    index: I32 = 0
    relentry: RelEntry | None = None


@dataclass(slots=True)
class CpuConst(Table):
    name: str | None = None
    const_data: Binary | None = None
    check_code: list[U8] | None = None


@dataclass(slots=True)
class CpuParam(Table):
    op_type: I32 = 0
    binary_param: Binary | None = None
    cpu_const: list[CpuConst] | None = None
    is_custom: I32 = 0


@dataclass(slots=True)
class OutputFrom(Table):
    indice: list[I32] | None = None


@dataclass(slots=True)
class MergeParam(Table):
    output_from: list[OutputFrom] | None = None


@dataclass(slots=True)
class SwitchParam(Table):
    output_from: list[I32] | None = None
    output_branch: list[I32] | None = None


@dataclass(slots=True)
class SubNet(Table):
    """A part of a network that runs in one go: instructions if static, else `ir_len` words to be interpreted."""

    subnet_mode: I32 = 0
    cmd_group: list[CmdGroup] | None = None
    cpu_param: list[CpuParam] | None = None
    input_tensor: list[Tensor] | None = None
    output_tensor: list[Tensor] | None = None
    is_dynamic: I32 = 0
    ir_offset: U32 = 0
    ir_len: U32 = 0
    n_dynamic: I32 = 0
    h_w_dynamic: I32 = 0
    id: I32 = -1
    next_subnet_ids: list[I32] | None = None
    merge_param: MergeParam | None = None
    switch_param: SwitchParam | None = None
    core_commands: list[CoreCommands] | None = None
    run_core: U32 = 0


@dataclass(slots=True)
class NetStatic(Table):
    """Of old files alone."""


@dataclass(slots=True)
class NetDynamic(Table):
    """Of old files alone."""


@dataclass(slots=True)
class NetParameter(Table):
    """A stage: the network for one set of shapes.

    Its scratch memory is of `ctx_sizes` bytes, or `ctx_size` if that is absent; all networks share it. Inputs and
    outputs are in memory of their own, `io_size` bytes, in address mode 1, else in the scratch memory.
    """

    input_tensor: list[Tensor]
    output_tensor: list[Tensor]
    ctx_addr: U64 = 0
    ctx_size: U64 = 0
    coeff_mem: CoeffMem | None = None
    is_dynamic: I32 = 0
    n_dynamic: I32 = 0
    h_w_dynamic: I32 = 0
    cmd_group: list[CmdGroup] | None = None
    net_profile: Binary | None = None
    stage_ir: list[StageIR] | None = None
    binary_ir: Binary | None = None
    sub_net: list[SubNet] | None = None
    cpu_mem_size: U32 = 0
    ctx_sizes: list[U64] | None = None
    net_stat: Binary | None = None
    core_num: U32 = 0
    io_addr: U64 = 0
    io_size: U64 = 0
    tensor_loc: Binary | None = None
    dynamic_ctx_addr: U64 = 0
    dynamic_coeff_offset: U64 = 0
    dynamic_combined_coeff_offset: U64 = 0


@dataclass(slots=True)
class Cascade(Table):
    """Makes a net one device's part, or one of several steps, of the network `main_name`."""

    device_id: U32 = 0
    step: U32 = 0
    main_name: str | None = None


@dataclass(slots=True)
class Net(Table):
    name: str
    net_static: list[NetStatic] | None = None
    net_dynamic: list[NetDynamic] | None = None
    parameter: list[NetParameter] | None = None
    cascade: Cascade | None = None
    addr_mode: I32 = 0


@dataclass(slots=True)
class KernelModule(Table):
    """The program that the chip's own processor runs."""

    file_name: str
    binary: Binary
    mode: I32 = 0


@dataclass(slots=True)
class CpuopModule(Table):
    file_name: str
    binary: Binary


@dataclass(slots=True)
class Model(Table):
    """The whole description."""

    type: str
    version: str
    time: str
    chip: str
    net: list[Net]
    neuron_size: U64 = 0
    kernel_module: KernelModule | None = None
    device_num: U32 = 0
    cpuop_module: CpuopModule | None = None
    bmodel_type: U32 = 0
    lib_backend: Binary | None = None
