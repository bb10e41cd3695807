"""Reading and writing descriptions: nothing is lost, and nothing that is read can do harm."""

from __future__ import annotations

import contextlib
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flatbuffers
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wizardtpu_compile.bmodel.encoding import encode
from wizardtpud.errors import BmodelError
from wizardtpud.model.bmodel import schema
from wizardtpud.model.bmodel.decoding import decode
from wizardtpud.model.bmodel.header import HEADER_SIZE, Header
from wizardtpud.model.bmodel.model import Memory, Tensor
from wizardtpud.model.bmodel.reading import MAX_DESCRIPTION, binaries, read_contents, read_model
from wizardtpud.model.bmodel.tables import U32, InlineKind, Kind, Scalar, Table, TableKind, Text, slots

from tests.support.tiny_bmodel import TinyNet, front, write_tiny_bmodel

quick = settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])


def numbers(scalar: Scalar) -> st.SearchStrategy[Any]:
    if scalar.letter == "f":
        return st.floats(width=32, allow_nan=False)
    bits, signed = 8 * scalar.width, scalar.letter.islower()
    return st.integers(-(1 << bits - 1) if signed else 0, (1 << bits - signed) - 1)


def values(kind: Kind) -> st.SearchStrategy[Any]:
    if isinstance(kind, Scalar):
        return numbers(kind)
    if isinstance(kind, Text):
        return st.text(max_size=8)
    if isinstance(kind, InlineKind):
        return st.builds(kind.type, *map(numbers, kind.scalars))
    if isinstance(kind, TableKind):
        return tables(kind.type)
    return st.lists(values(kind.element), max_size=2)


def tables(table: type[Table]) -> st.SearchStrategy[Table]:
    """Tables with any value in any field, and any fields absent that may be."""
    fields = {
        slot.name: values(slot.kind) if slot.required else st.just(slot.default) | values(slot.kind)
        for slot in slots(table)
    }
    return st.builds(table, **fields)


@quick
@given(tables(schema.Model))
def test_everything_in_the_schema_survives(model: schema.Model) -> None:
    assert decode(encode(model), schema.Model) == model


@given(tables(schema.NetParameter))
@quick
def test_equal_tables_give_equal_bytes(stage: schema.NetParameter) -> None:
    assert encode(stage) == encode(decode(encode(stage), schema.NetParameter))


def test_an_empty_vector_is_not_an_absent_one() -> None:
    empty, absent = schema.NetParameter([], [], ctx_sizes=[]), schema.NetParameter([], [])
    assert decode(encode(empty), schema.NetParameter).ctx_sizes == []
    assert decode(encode(absent), schema.NetParameter).ctx_sizes is None


@dataclass(slots=True)
class LaterShape(Table):
    dim: list[U32] | None = None
    added: U32 = 0


def test_a_field_of_a_newer_schema_is_refused() -> None:
    with pytest.raises(BmodelError, match="a Shape has more than the 1 fields known here"):
        decode(encode(LaterShape(added=3)), schema.Shape)


def test_an_unused_field_of_a_newer_schema_is_no_matter() -> None:
    assert decode(encode(LaterShape(dim=[])), schema.Shape) == schema.Shape([])


def test_a_missing_required_field_is_refused() -> None:
    with pytest.raises(BmodelError, match="a Location lacks its name"):
        decode(encode(schema.Shape()), schema.Location)


def test_one_table_in_many_places_is_refused() -> None:
    """Otherwise a small file could become many gigabytes in memory."""
    builder = flatbuffers.Builder()
    builder.StartObject(1)
    inner = builder.EndObject()
    for _ in range(2):
        builder.StartVector(4, 1000, 4)
        for _ in range(1000):
            builder.PrependUOffsetTRelative(inner)
        vector = builder.EndVector()
        builder.StartObject(2)
        builder.PrependUOffsetTRelativeSlot(1, vector, 0)
        inner = builder.EndObject()
    builder.Finish(inner)
    with pytest.raises(BmodelError, match="no readable description"):
        decode(bytes(builder.Output()), Nest1)


@dataclass(slots=True)
class Nest3(Table):
    nothing: U32 = 0


@dataclass(slots=True)
class Nest2(Table):
    nothing: U32 = 0
    inner: list[Nest3] | None = None


@dataclass(slots=True)
class Nest1(Table):
    nothing: U32 = 0
    inner: list[Nest2] | None = None


@dataclass(slots=True)
class Lists(Table):
    first: list[U32] | None = None
    second: list[U32] | None = None


@dataclass(slots=True)
class ManyLists(Table):
    lists: list[Lists] | None = None


def lists_of_one_vector(numbers: list[int], tables: int) -> bytes:
    """So many `Lists`, whose fields all refer to the same vector."""
    builder = flatbuffers.Builder()
    builder.StartVector(4, len(numbers), 4)
    for number in reversed(numbers):
        builder.PrependUint32(number)
    vector, made = builder.EndVector(), []
    for _ in range(tables):
        builder.StartObject(2)
        for field in (0, 1):
            builder.PrependUOffsetTRelativeSlot(field, vector, 0)
        made.append(builder.EndObject())
    builder.StartVector(4, tables, 4)
    for table in reversed(made):
        builder.PrependUOffsetTRelative(table)
    outer = builder.EndVector()
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, outer, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())


def test_a_vector_that_two_fields_refer_to_is_read_twice() -> None:
    """So the vendor's compiler writes the relocation entries of large networks."""
    numbers = list(range(1000))
    buffer = lists_of_one_vector(numbers, tables=1)
    assert len(buffer) < 4100, "the vector is there once"
    assert decode(buffer, ManyLists) == ManyLists([Lists(numbers, numbers)])


def test_a_vector_that_far_too_many_fields_refer_to_is_refused() -> None:
    with pytest.raises(BmodelError, match="no readable description"):
        decode(lists_of_one_vector(list(range(1000)), tables=10), ManyLists)


@given(st.binary(max_size=400))
@quick
def test_any_bytes_give_a_description_or_an_error(content: bytes) -> None:
    with contextlib.suppress(BmodelError):
        decode(content, schema.Model)


@pytest.fixture
def bmodel(tmp_path: Path) -> Path:
    return write_tiny_bmodel(tmp_path / "net.bmodel", [TinyNet("a"), TinyNet("b", inputs={"ids": (8, 64)})])


@given(data=st.data())
@quick
def test_changed_bytes_give_a_model_or_an_error(bmodel: Path, data: st.DataObject) -> None:
    content = bytearray(bmodel.read_bytes())
    end = Header.unpack(bytes(content)).start
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, end - 1))] = data.draw(st.integers(0, 255))
    changed = bmodel.with_name("changed.bmodel")
    changed.write_bytes(content)
    with contextlib.suppress(BmodelError):
        assert read_model(changed).device_bytes >= 0


@given(size=st.integers(0, 1 << 16))
@quick
def test_a_truncated_file_is_refused(bmodel: Path, size: int) -> None:
    content = bmodel.read_bytes()
    cut = bmodel.with_name("cut.bmodel")
    cut.write_bytes(content[: size % len(content)])
    with pytest.raises(BmodelError, match=r"no bmodel|truncated"):
        read_model(cut)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes are no bmodel"),
        (b"MZ" * 100, "not a bmodel"),
        (struct.pack("<IIIQ44s", 0xFF55AAEE, 64, 0, 0, b"\1"), "encrypted"),
        (struct.pack("<IIIQ44s", 0xFF55AAEE, 80, 0, 0, b""), "encrypted"),
        (Header(1 << 31, 0).pack(), "truncated"),
        (Header(0, 1 << 63).pack(), "truncated"),
        (Header(0, 0).pack(), "damaged"),
    ],
)
def test_what_is_no_bmodel_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.bmodel"
    path.write_bytes(content)
    with pytest.raises(BmodelError, match=message):
        read_model(path)


def test_a_huge_description_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse.bmodel"
    path.write_bytes(Header(MAX_DESCRIPTION + 1, 0).pack())
    with path.open("ab") as file:
        file.truncate(HEADER_SIZE + MAX_DESCRIPTION + 1)
    with pytest.raises(BmodelError, match="a description of 33554433 bytes"):
        read_model(path)


def test_a_reference_behind_the_end_is_refused(bmodel: Path) -> None:
    contents = read_contents(bmodel)
    next(binaries(contents.description)).start = contents.header.binaries
    body = bmodel.read_bytes()[contents.header.start :]
    bmodel.write_bytes(front(contents.description, len(body)) + body)
    with pytest.raises(BmodelError, match="a reference behind its end"):
        read_model(bmodel)


def test_networks_are_told_as_people_know_them(tmp_path: Path) -> None:
    inputs, outputs = {"x": (2, 3), "mask": (1, 4)}, {"y": (2, 5)}
    tiny = TinyNet("a", weights=b"1" * 100, instructions=b"2" * 70, inputs=inputs, outputs=outputs)
    model = read_model(write_tiny_bmodel(tmp_path / "a", [tiny]))
    (net,) = model.nets
    (stage,) = net.stages
    assert (model.chip, model.version, model.devices) == ("BM1684X", "2.2", 1)
    assert (net.name, net.network, net.device, net.addr_mode, net.dynamic) == ("a", "a", 0, 1, False)
    assert stage.inputs == (Tensor("x", "float16", (2, 3)), Tensor("mask", "float16", (1, 4)))
    assert stage.outputs == (Tensor("y", "float16", (2, 5)),)
    assert (net.weights, net.instructions, net.tensors, net.scratch) == (100, 70, 4096, 8192)


def test_memory_counts_shared_weights_once_and_scratch_as_it_is_shared_or_not(tmp_path: Path) -> None:
    nets = [
        TinyNet("a", weights=b"1" * 100, instructions=b"a" * 10, scratch=1000, io_size=1),
        TinyNet("b", weights=b"1" * 100, instructions=b"a" * 20, scratch=5000, io_size=2),
        TinyNet("c", weights=b"3" * 100, instructions=b"a" * 30, scratch=3000, io_size=4, addr_mode=0),
        TinyNet("d", weights=b"3" * 100, instructions=b"a" * 40, scratch=2000, io_size=8, addr_mode=4),
    ]
    memory = read_model(write_tiny_bmodel(tmp_path / "x", nets)).memory()
    assert memory == Memory(weights=200, instructions=100, tensors=3, scratch=5000, unshared_scratch=11000)
    assert (memory.loaded, memory.total, memory.unshared) == (5300, 5303, 11303)


def test_stages_of_a_network_share_memory_for_inputs_and_outputs(tmp_path: Path) -> None:
    """As the runtime was seen to allocate it for those that the vendor's converter makes."""
    shapes = {"x": (1, 4)}
    tiny = TinyNet("a", weights=b"1" * 100, instructions=b"i" * 10, io_size=64, more_stages=[(shapes, shapes)] * 2)
    memory = read_model(write_tiny_bmodel(tmp_path / "x", [tiny])).memory()
    assert memory == Memory(weights=100, instructions=30, tensors=64, scratch=8192, unshared_scratch=3 * 8192)


def test_a_network_on_two_devices_is_one_of_two_parts(tmp_path: Path) -> None:
    nets = [
        TinyNet("a_0", main_name="a", device=0, weights=b"1" * 100),
        TinyNet("a_1", main_name="a", device=1, weights=b"2" * 150),
    ]
    model = read_model(write_tiny_bmodel(tmp_path / "x", nets, devices=2))
    assert model.devices == 2
    assert {name: [net.name for net in parts] for name, parts in model.networks.items()} == {"a": ["a_0", "a_1"]}
    assert [model.memory(device).weights for device in (0, 1)] == [100, 150]
    assert model.device_bytes == model.memory(1).total
    assert model.unshared_device_bytes == model.memory(1).unshared


@pytest.mark.parametrize(
    ("nets", "devices"), [([TinyNet("a", main_name="a", device=1)], 1), ([TinyNet("a"), TinyNet("b")], 2**32 - 1)]
)
def test_networks_and_devices_that_do_not_fit_are_refused(
    tmp_path: Path, nets: list[TinyNet], devices: int
) -> None:
    with pytest.raises(BmodelError, match=f"{len(nets)} networks do not fit {devices} devices"):
        read_model(write_tiny_bmodel(tmp_path / "x", nets, devices=devices))


def test_a_bmodel_without_networks_is_refused(bmodel: Path) -> None:
    bmodel.write_bytes(front(schema.Model("B", "1", "", "BM1684X", []), 0))
    with pytest.raises(BmodelError, match="0 networks do not fit 1 devices"):
        read_model(bmodel)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (schema.Tensor("x", data_type=99, shape=[schema.Shape([1])]), "x is of the unknown type 99"),
        (schema.Tensor("x"), "x has no shape"),
    ],
)
def test_a_tensor_that_makes_no_sense_is_refused(bmodel: Path, tensor: schema.Tensor, message: str) -> None:
    stage = schema.NetParameter([tensor], [])
    bmodel.write_bytes(front(schema.Model("B", "1", "", "X", [schema.Net("a", parameter=[stage])]), 0))
    with pytest.raises(BmodelError, match=message):
        read_model(bmodel)


def test_a_network_without_stages_is_refused(bmodel: Path) -> None:
    bmodel.write_bytes(front(schema.Model("B", "1", "", "BM1684X", [schema.Net("old")]), 0))
    with pytest.raises(BmodelError, match="network old has no stages"):
        read_model(bmodel)


def test_a_dynamic_network_is_counted_by_its_program(bmodel: Path) -> None:
    subnet = schema.SubNet(is_dynamic=1, ir_len=25)
    stage = schema.NetParameter([], [], is_dynamic=1, sub_net=[subnet], ctx_size=7)
    bmodel.write_bytes(front(schema.Model("B", "1", "", "X", [schema.Net("a", parameter=[stage])]), 0))
    (net,) = read_model(bmodel).nets
    assert (net.dynamic, net.instructions, net.scratch) == (True, 100, 7)


def test_instructions_of_several_cores_are_counted(bmodel: Path) -> None:
    group = schema.CmdGroup(binary_bdc=schema.Binary(0, 1), binary_gdma=schema.Binary(0, 2))
    cores = [schema.CoreCommands([group], [schema.Binary(0, 4)], [schema.Binary(0, 8)], [schema.Binary(0, 16)])]
    stage = schema.NetParameter([], [], sub_net=[schema.SubNet(core_commands=cores)])
    model = schema.Model("B", "1", "", "X", [schema.Net("a", parameter=[stage])])
    bmodel.write_bytes(front(model, 16) + bytes(16))
    assert read_model(bmodel).memory().instructions == 31
